# Completion of cmdstat for bash.
# Candidates come from cmdstat, line by line, and are inserted as text: nothing of them is evaluated.

_cmdstat() {
    local answer kind line
    COMPREPLY=()
    answer=$(
        _CMDSTAT_LINE=${COMP_LINE:0:COMP_POINT} _CMDSTAT_WORD=$2 \
            command cmdstat __complete bash 2>/dev/null </dev/null
    )
    {
        IFS= read -r kind
        while IFS= read -r line; do
            COMPREPLY+=("$line")
        done
    } <<<"$answer"
    case $kind in
        files) compopt -o default 2>/dev/null ;;
        open) compopt -o nospace 2>/dev/null ;;
        *) compopt -o nosort 2>/dev/null ;;
    esac
    return 0 # bash drops the candidates of a function that ends with another's "not found"
}

if type compopt >/dev/null 2>&1; then
    complete -F _cmdstat cmdstat
else # bash 3.2, as on macOS: file names complete everywhere
    complete -o default -F _cmdstat cmdstat
fi
