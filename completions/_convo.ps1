
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'convo' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'convo'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'convo' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the threads, most recently active first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the thread with a contact')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send a text message')
            [CompletionResult]::new('retry', 'retry', [CompletionResultType]::ParameterValue, 'Send a message again whose outcome is unknown')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Receive Telnyx''s webhooks and serve the REST API')
            [CompletionResult]::new('settle', 'settle', [CompletionResultType]::ParameterValue, 'Settle what dead processes and lost answers left open')
            [CompletionResult]::new('migrate', 'migrate', [CompletionResultType]::ParameterValue, 'Create the database''s tables, or bring them up to date')
            [CompletionResult]::new('copy', 'copy', [CompletionResultType]::ParameterValue, 'Copy a whole database into another: from SQLite to PostgreSQL, or back')
            [CompletionResult]::new('sandbox', 'sandbox', [CompletionResultType]::ParameterValue, 'Run a simulated Telnyx by itself, for any program to talk to')
            break
        }
        'convo;list' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Active since: 2h, 3d, a date, or an RFC 3339 time')
            [CompletionResult]::new('--status', '--status', [CompletionResultType]::ParameterName, 'Last message with this status; several separated by commas')
            [CompletionResult]::new('--direction', '--direction', [CompletionResultType]::ParameterName, 'Last message inbound or outbound')
            [CompletionResult]::new('--number', '--number', [CompletionResultType]::ParameterName, 'Last message through this number of ours')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Print at most the N newest [on a terminal: 50]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Print as table, json, jsonl, csv or ids')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--opted-out', '--opted-out', [CompletionResultType]::ParameterName, 'Contact has opted out')
            [CompletionResult]::new('--reverse', '--reverse', [CompletionResultType]::ParameterName, 'Least recently active first')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Print all [in a pipe, or with a format: always]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'The same as --format json; errors are told in JSON, too')
            [CompletionResult]::new('--no-pager', '--no-pager', [CompletionResultType]::ParameterName, 'Never start a pager, however long the table or chat is')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;show' {
            [CompletionResult]::new('--before', '--before', [CompletionResultType]::ParameterName, 'Only what came before this message (its id) or time (2h, 3d, a date, RFC 3339)')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Print at most the N newest [on a terminal: 50]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Print as table, json, jsonl, csv or ids')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--history', '--history', [CompletionResultType]::ParameterName, 'Also show what was reported about each message, and when')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Print all [in a pipe, or with a format: always]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'The same as --format json; errors are told in JSON, too')
            [CompletionResult]::new('--no-pager', '--no-pager', [CompletionResultType]::ParameterName, 'Never start a pager, however long the table or chat is')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;send' {
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Send from this one of our numbers')
            [CompletionResult]::new('--media', '--media', [CompletionResultType]::ParameterName, 'Send a file along, which makes it an MMS (may be repeated)')
            [CompletionResult]::new('--subject', '--subject', [CompletionResultType]::ParameterName, 'The subject of an MMS')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Let Telnyx send it later, 5 minutes to 5 days from now (RFC 3339)')
            [CompletionResult]::new('--idempotency-key', '--idempotency-key', [CompletionResultType]::ParameterName, 'Name this send: repeated under the same key, it goes out once')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait until it is final, or until it is sent or delivered')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Wait no longer than this, for example 30s or 2m [default: 60s]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--no-retry', '--no-retry', [CompletionResultType]::ParameterName, 'Offer it to Telnyx only once, whatever happens')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Tell what would be sent, and send nothing')
            [CompletionResult]::new('--despite-opt-out', '--despite-opt-out', [CompletionResultType]::ParameterName, 'Offer it although the contact has opted out, and let Telnyx decide')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the message as a JSON object; errors are told in JSON, too')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;retry' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Also after 24 hours, when Telnyx no longer knows it: if it was sent, it is sent twice')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print the message as a JSON object; errors are told in JSON, too')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;serve' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address [default: 127.0.0.1:5000] [env: CONVO_LISTEN]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;settle' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;migrate' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;copy' {
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--release', '--release', [CompletionResultType]::ParameterName, 'Give the copy up, or the old database back: let FROM take changes again')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print a JSON object; errors are told in JSON, too')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'convo;sandbox' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Listen on this address [default: 127.0.0.1:5001]')
            [CompletionResult]::new('--webhook-url', '--webhook-url', [CompletionResultType]::ParameterName, 'Post the signed webhooks here')
            [CompletionResult]::new('--key-file', '--key-file', [CompletionResultType]::ParameterName, 'Keep the signing key in this file, so that it outlives the run')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Ask this convo server instead of opening the database [env: CONVO_SERVER]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Use colour: auto, always or never')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Play with a simulated Telnyx and a database of its own, sandbox.db')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Show times to people in UTC, not in the local time zone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
