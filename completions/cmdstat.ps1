# Completion of cmdstat for PowerShell.
# Candidates come from cmdstat, line by line, and are inserted as text: nothing of them is evaluated.

Register-ArgumentCompleter -Native -CommandName cmdstat -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $line = $commandAst.ToString()
    $length = [Math]::Max(0, $cursorPosition - $commandAst.Extent.StartOffset)
    $program = Get-Command -Name cmdstat -CommandType Application | Select-Object -First 1
    $before = $env:_CMDSTAT_LINE
    try {
        $env:_CMDSTAT_LINE = $line.PadRight($length).Substring(0, $length)
        $answer = @($null | & $program __complete powershell 2>$null)
    } finally {
        $env:_CMDSTAT_LINE = $before
    }
    if ($answer.Count -gt 0 -and $answer[0] -eq 'files') {
        return # with no answer, PowerShell completes file names
    }
    if ($answer.Count -lt 2) {
        return ''
    }
    foreach ($candidate in $answer[1..($answer.Count - 1)]) {
        $text, $shown, $note = $candidate -split "`t", 3
        if (-not $note) {
            $note = $shown
        }
        [System.Management.Automation.CompletionResult]::new($text, $shown, 'ParameterValue', $note)
    }
}
