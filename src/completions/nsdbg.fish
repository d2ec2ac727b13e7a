# Completion of nsdbg for fish. nsdbg itself says what a line may become.
function __nsdbg_complete
    set -l words (commandline -opc)
    set -l said (command $words[1] --complete (commandline -cp | string collect) 2>/dev/null)
    if test $status = 3
        # A file of the node.
        __fish_complete_path (commandline -ct)
        return
    end
    string join -- \n $said
end
complete -c nsdbg -f -a '(__nsdbg_complete)'
