
set edit:completion:arg-completer[convo] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) CONVO_COMPLETE="elvish" convo -- $@words) | to-lines
}

