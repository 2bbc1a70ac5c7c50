"""`paragon-stream completion SHELL`: what bash, zsh and fish need to complete commands, options and values.

The scripts ask the program itself, with the words before the cursor: so they never go out of date.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, ShellComplete

_BASH = """\
# paragon-stream: completion for bash. In ~/.bashrc:  eval "$(paragon-stream completion bash)"
_paragon_stream() {
    local kind value help
    COMPREPLY=()
    while IFS=$'\\t' read -r kind value help; do
        case "$kind" in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default 2>/dev/null; COMPREPLY=() ;;
            dir) compopt -o dirnames 2>/dev/null; COMPREPLY=() ;;
        esac
    done < <("${COMP_WORDS[0]}" completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _paragon_stream paragon-stream
"""

_ZSH = """\
#compdef paragon-stream
# paragon-stream: completion for zsh. In ~/.zshrc, after compinit:  eval "$(paragon-stream completion zsh)"
_paragon_stream() {
    local kind value help
    local -a plain files
    while IFS=$'\\t' read -r kind value help; do
        case "$kind" in
            plain) plain+=("${value//:/\\\\:}${help:+:$help}") ;;
            file|dir) files+=("$kind") ;;
        esac
    done < <("${words[1]}" completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#plain} )) && _describe -V unsorted plain
    (( ${#files} )) && _files
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _paragon_stream "$@"
else compdef _paragon_stream paragon-stream; fi
"""

_FISH = """\
# paragon-stream: completion for fish, to be saved as ~/.config/fish/completions/paragon-stream.fish
function __paragon_stream_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] completion --words $words[2..-1] $current 2>/dev/null)
        set -l parts (string split \\t -- $line)
        switch $parts[1]
            case plain
                printf '%s\\t%s\\n' $parts[2] "$parts[3]"
            case file dir
                __fish_complete_path $current
        end
    end
end
complete -c paragon-stream -f -a '(__paragon_stream_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(
    context_settings={"ignore_unknown_options": True},
)
@click.option("--words", is_flag=True, hidden=True, help="Complete the last of the words that follow.")
@click.argument("shell", nargs=-1, type=click.UNPROCESSED, metavar="bash|zsh|fish")
def command(words: bool, shell: tuple[str, ...]) -> None:
    """Print the completion script for SHELL: options and their values, such as weights, codecs and profiles.

    bash: eval "$(paragon-stream completion bash)" in ~/.bashrc; zsh likewise in ~/.zshrc, after compinit;
    fish: paragon-stream completion fish > ~/.config/fish/completions/paragon-stream.fish
    """
    if words:
        for item in completions(list(shell)):
            help = " ".join((item.help or "").split())
            click.echo(f"{item.type}\t{item.value}\t{help}")
        return
    if len(shell) != 1 or shell[0] not in SCRIPTS:
        raise click.UsageError(f"name one shell: {', '.join(SCRIPTS)}")
    click.echo(SCRIPTS[shell[0]], nl=False)


def completions(words: Sequence[str]) -> list[CompletionItem]:
    """The completions of the last of `words`, which may be empty. `words` follow the program's name."""
    from paragon_stream.cli.main import COMMANDS, MAIN, SETTINGS

    before, begun = list(words[:-1]), words[-1] if words else ""
    name = before[0] if before and before[0] in COMMANDS else None
    command: click.Command = importlib.import_module(COMMANDS[name][0] if name else MAIN).command
    complete = ShellComplete(command, {**SETTINGS}, "paragon-stream", "")
    found = complete.get_completions(before[1:] if name else before, begun)
    if not before:
        found = [
            CompletionItem(each, help=line) for each, (_, line) in COMMANDS.items() if each.startswith(begun)
        ] + found
    if not found and not begun.startswith("-"):
        return [CompletionItem(begun, type="file")]
    return found
