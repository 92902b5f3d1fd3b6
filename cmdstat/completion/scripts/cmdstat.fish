# Completion of cmdstat for fish.
# Candidates come from cmdstat, line by line, and are inserted as text: nothing of them is evaluated.

function __cmdstat_complete
    set -lx _CMDSTAT_LINE (commandline -cp | string collect)
    set -l answer (command cmdstat __complete fish 2>/dev/null </dev/null)
    if test "$answer[1]" = files
        complete -C "'' "(commandline -ct | string collect)
        return
    end
    set -e answer[1]
    printf '%s\n' $answer
end

complete -c cmdstat -f -k -a '(__cmdstat_complete)'
