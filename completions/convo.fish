# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_convo_global_optspecs
    string join \n sandbox server= color= utc h/help V/version
end

function __fish_convo_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_convo_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_convo_using_subcommand
    set -l cmd (__fish_convo_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c convo -n "__fish_convo_needs_command" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_needs_command" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_needs_command" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_needs_command" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_needs_command" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_needs_command" -s V -l version -d 'Print version'
complete -c convo -n "__fish_convo_needs_command" -f -a "list" -d 'List the threads, most recently active first'
complete -c convo -n "__fish_convo_needs_command" -f -a "show" -d 'Show the thread with a contact'
complete -c convo -n "__fish_convo_needs_command" -f -a "send" -d 'Send a text message'
complete -c convo -n "__fish_convo_needs_command" -f -a "retry" -d 'Send a message again whose outcome is unknown'
complete -c convo -n "__fish_convo_needs_command" -f -a "serve" -d 'Receive Telnyx\'s webhooks and serve the REST API'
complete -c convo -n "__fish_convo_needs_command" -f -a "settle" -d 'Settle what dead processes and lost answers left open'
complete -c convo -n "__fish_convo_needs_command" -f -a "migrate" -d 'Create the database\'s tables, or bring them up to date'
complete -c convo -n "__fish_convo_needs_command" -f -a "copy" -d 'Copy a whole database into another: from SQLite to PostgreSQL, or back'
complete -c convo -n "__fish_convo_needs_command" -f -a "sandbox" -d 'Run a simulated Telnyx by itself, for any program to talk to'
complete -c convo -n "__fish_convo_using_subcommand list" -l since -d 'Active since: 2h, 3d, a date, or an RFC 3339 time' -r
complete -c convo -n "__fish_convo_using_subcommand list" -l status -d 'Last message with this status; several separated by commas' -r -f -a "pending\t''
unknown\t''
scheduled\t''
queued\t''
sending\t''
sent\t''
delivery_unconfirmed\t''
expired\t''
cancelled\t''
sending_failed\t''
delivery_failed\t''
delivered\t''
read\t''
received\t''"
complete -c convo -n "__fish_convo_using_subcommand list" -l direction -d 'Last message inbound or outbound' -r -f -a "inbound\t''
outbound\t''"
complete -c convo -n "__fish_convo_using_subcommand list" -l number -d 'Last message through this number of ours' -r
complete -c convo -n "__fish_convo_using_subcommand list" -l limit -d 'Print at most the N newest [on a terminal: 50]' -r
complete -c convo -n "__fish_convo_using_subcommand list" -l format -d 'Print as table, json, jsonl, csv or ids' -r -f -a "table\t'For people: a table of threads, a thread as a chat'
json\t'One JSON document with the API\'s fields'
jsonl\t'One JSON object a line'
csv\t'Comma-separated values under a header line'
ids\t'One id a line'"
complete -c convo -n "__fish_convo_using_subcommand list" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand list" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand list" -l opted-out -d 'Contact has opted out'
complete -c convo -n "__fish_convo_using_subcommand list" -l reverse -d 'Least recently active first'
complete -c convo -n "__fish_convo_using_subcommand list" -l all -d 'Print all [in a pipe, or with a format: always]'
complete -c convo -n "__fish_convo_using_subcommand list" -l json -d 'The same as --format json; errors are told in JSON, too'
complete -c convo -n "__fish_convo_using_subcommand list" -l no-pager -d 'Never start a pager, however long the table or chat is'
complete -c convo -n "__fish_convo_using_subcommand list" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand list" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand list" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand show" -l before -d 'Only what came before this message (its id) or time (2h, 3d, a date, RFC 3339)' -r
complete -c convo -n "__fish_convo_using_subcommand show" -l limit -d 'Print at most the N newest [on a terminal: 50]' -r
complete -c convo -n "__fish_convo_using_subcommand show" -l format -d 'Print as table, json, jsonl, csv or ids' -r -f -a "table\t'For people: a table of threads, a thread as a chat'
json\t'One JSON document with the API\'s fields'
jsonl\t'One JSON object a line'
csv\t'Comma-separated values under a header line'
ids\t'One id a line'"
complete -c convo -n "__fish_convo_using_subcommand show" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand show" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand show" -l history -d 'Also show what was reported about each message, and when'
complete -c convo -n "__fish_convo_using_subcommand show" -l all -d 'Print all [in a pipe, or with a format: always]'
complete -c convo -n "__fish_convo_using_subcommand show" -l json -d 'The same as --format json; errors are told in JSON, too'
complete -c convo -n "__fish_convo_using_subcommand show" -l no-pager -d 'Never start a pager, however long the table or chat is'
complete -c convo -n "__fish_convo_using_subcommand show" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand show" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand show" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand send" -l from -d 'Send from this one of our numbers' -r
complete -c convo -n "__fish_convo_using_subcommand send" -l media -d 'Send a file along, which makes it an MMS (may be repeated)' -r -f
complete -c convo -n "__fish_convo_using_subcommand send" -l subject -d 'The subject of an MMS' -r
complete -c convo -n "__fish_convo_using_subcommand send" -l at -d 'Let Telnyx send it later, 5 minutes to 5 days from now (RFC 3339)' -r
complete -c convo -n "__fish_convo_using_subcommand send" -l idempotency-key -d 'Name this send: repeated under the same key, it goes out once' -r
complete -c convo -n "__fish_convo_using_subcommand send" -l wait -d 'Wait until it is final, or until it is sent or delivered' -r -f -a "sent\t'The carrier has it'
delivered\t'It reached the recipient\'s phone'"
complete -c convo -n "__fish_convo_using_subcommand send" -l timeout -d 'Wait no longer than this, for example 30s or 2m [default: 60s]' -r
complete -c convo -n "__fish_convo_using_subcommand send" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand send" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand send" -l no-retry -d 'Offer it to Telnyx only once, whatever happens'
complete -c convo -n "__fish_convo_using_subcommand send" -l dry-run -d 'Tell what would be sent, and send nothing'
complete -c convo -n "__fish_convo_using_subcommand send" -l despite-opt-out -d 'Offer it although the contact has opted out, and let Telnyx decide'
complete -c convo -n "__fish_convo_using_subcommand send" -l json -d 'Print the message as a JSON object; errors are told in JSON, too'
complete -c convo -n "__fish_convo_using_subcommand send" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand send" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand send" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand retry" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand retry" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand retry" -l force -d 'Also after 24 hours, when Telnyx no longer knows it: if it was sent, it is sent twice'
complete -c convo -n "__fish_convo_using_subcommand retry" -l json -d 'Print the message as a JSON object; errors are told in JSON, too'
complete -c convo -n "__fish_convo_using_subcommand retry" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand retry" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand retry" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand serve" -l listen -d 'Listen on this address [default: 127.0.0.1:5000] [env: CONVO_LISTEN]' -r
complete -c convo -n "__fish_convo_using_subcommand serve" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand serve" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand serve" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand serve" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand serve" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand settle" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand settle" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand settle" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand settle" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand settle" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand migrate" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand migrate" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand migrate" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand migrate" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand copy" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand copy" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand copy" -l release -d 'Give the copy up, or the old database back: let FROM take changes again'
complete -c convo -n "__fish_convo_using_subcommand copy" -l json -d 'Print a JSON object; errors are told in JSON, too'
complete -c convo -n "__fish_convo_using_subcommand copy" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand copy" -s h -l help -d 'Print help'
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l listen -d 'Listen on this address [default: 127.0.0.1:5001]' -r
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l webhook-url -d 'Post the signed webhooks here' -r -f
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l key-file -d 'Keep the signing key in this file, so that it outlives the run' -r -F
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l server -d 'Ask this convo server instead of opening the database [env: CONVO_SERVER]' -r -f
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l color -d 'Use colour: auto, always or never' -r -f -a "auto\t'On a terminal that has it, unless `NO_COLOR` is set'
always\t'Also into a pipe'
never\t'Never'"
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l sandbox -d 'Play with a simulated Telnyx and a database of its own, sandbox.db'
complete -c convo -n "__fish_convo_using_subcommand sandbox" -l utc -d 'Show times to people in UTC, not in the local time zone'
complete -c convo -n "__fish_convo_using_subcommand sandbox" -s h -l help -d 'Print help'
