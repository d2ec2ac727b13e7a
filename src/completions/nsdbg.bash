# Completion of nsdbg for bash. nsdbg itself says what a line may become.
_nsdbg() {
    local line=${COMP_LINE:0:COMP_POINT} breaks='' char fixed='' word candidate said code
    COMPREPLY=()
    said=$("${1/#\~/$HOME}" --complete "$line" 2>/dev/null)
    code=$?
    if [ "$code" = 3 ]; then
        # A file of the node.
        compopt -o default 2>/dev/null
        return
    fi
    # bash replaces what stands behind the last of its word breaks, not the whole word.
    for char in : @ =; do
        [[ $COMP_WORDBREAKS != *"$char"* ]] || breaks+=$char
    done
    word=${line##*[[:space:]]}
    [ -z "$breaks" ] || fixed=${word%"${word##*["$breaks"]}"}
    while IFS=$'\t' read -r candidate _; do
        [ -z "$candidate" ] || COMPREPLY+=("${candidate#"$fixed"}")
    done <<<"$said"
}
complete -F _nsdbg nsdbg
