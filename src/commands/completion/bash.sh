# Completions of convo for bash.

_clap_complete_convo() {
    local line=${COMP_LINE-${COMP_WORDS[*]}}
    local rest=${line:0:${COMP_POINT-${#line}}} words=() piece before i IFS=$'\013'
    # Readline splits words at the characters of COMP_WORDBREAKS, : and = among them, and passes the
    # pieces in COMP_WORDS. Pieces without a blank between them are one word of the command line.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        before=$rest
        rest=${rest#"${rest%%[![:blank:]]*}"}
        piece=${COMP_WORDS[i]}
        # Of the word under the cursor, the part in front of it.
        ((i == COMP_CWORD)) && piece=$rest
        rest=${rest#"$piece"}
        if ((i > 0)) && [[ $before != [[:blank:]]* && -n $piece ]]; then
            words[${#words[@]} - 1]+=$piece
        else
            words+=("$piece")
        fi
    done
    local last=$((${#words[@]} - 1))
    local word=${words[last]}
    COMPREPLY=($(
        _CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX="$last" _CLAP_COMPLETE_COMP_TYPE="${COMP_TYPE-9}" \
            VARIABLE=bash convo -- "${words[@]}"
    )) || { COMPREPLY=() && return; }
    # Readline replaces only the last piece, which it passes as the second argument.
    local kept=${word%"$2"}
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$kept"}
        # A name is one word.
        if [[ ${COMPREPLY[i]} == *[\ \']* ]]; then
            COMPREPLY[i]=$(printf %q "${COMPREPLY[i]}")
        fi
    done
    if [[ ${COMPREPLY-} =~ [=/:]$ ]]; then
        compopt -o nospace 2> /dev/null
    fi
}

if ((BASH_VERSINFO[0] > 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4))); then
    complete -o bashdefault -o nosort -F _clap_complete_convo convo
else
    complete -o bashdefault -F _clap_complete_convo convo
fi
