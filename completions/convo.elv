
use builtin;
use str;

set edit:completion:arg-completer[convo] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'convo'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'convo'= {
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand list 'List the threads, most recently active first'
            cand show 'Show the thread with a contact'
            cand send 'Send a text message'
            cand retry 'Send a message again whose outcome is unknown'
            cand serve 'Receive Telnyx''s webhooks and serve the REST API'
            cand settle 'Settle what dead processes and lost answers left open'
            cand migrate 'Create the database''s tables, or bring them up to date'
            cand copy 'Copy a whole database into another: from SQLite to PostgreSQL, or back'
            cand sandbox 'Run a simulated Telnyx by itself, for any program to talk to'
        }
        &'convo;list'= {
            cand --since 'Active since: 2h, 3d, a date, or an RFC 3339 time'
            cand --status 'Last message with this status; several separated by commas'
            cand --direction 'Last message inbound or outbound'
            cand --number 'Last message through this number of ours'
            cand --limit 'Print at most the N newest [on a terminal: 50]'
            cand --format 'Print as table, json, jsonl, csv or ids'
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --opted-out 'Contact has opted out'
            cand --reverse 'Least recently active first'
            cand --all 'Print all [in a pipe, or with a format: always]'
            cand --json 'The same as --format json; errors are told in JSON, too'
            cand --no-pager 'Never start a pager, however long the table or chat is'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;show'= {
            cand --before 'Only what came before this message (its id) or time (2h, 3d, a date, RFC 3339)'
            cand --limit 'Print at most the N newest [on a terminal: 50]'
            cand --format 'Print as table, json, jsonl, csv or ids'
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --history 'Also show what was reported about each message, and when'
            cand --all 'Print all [in a pipe, or with a format: always]'
            cand --json 'The same as --format json; errors are told in JSON, too'
            cand --no-pager 'Never start a pager, however long the table or chat is'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;send'= {
            cand --from 'Send from this one of our numbers'
            cand --media 'Send a file along, which makes it an MMS (may be repeated)'
            cand --subject 'The subject of an MMS'
            cand --at 'Let Telnyx send it later, 5 minutes to 5 days from now (RFC 3339)'
            cand --idempotency-key 'Name this send: repeated under the same key, it goes out once'
            cand --wait 'Wait until it is final, or until it is sent or delivered'
            cand --timeout 'Wait no longer than this, for example 30s or 2m [default: 60s]'
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --no-retry 'Offer it to Telnyx only once, whatever happens'
            cand --dry-run 'Tell what would be sent, and send nothing'
            cand --despite-opt-out 'Offer it although the contact has opted out, and let Telnyx decide'
            cand --json 'Print the message as a JSON object; errors are told in JSON, too'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;retry'= {
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --force 'Also after 24 hours, when Telnyx no longer knows it: if it was sent, it is sent twice'
            cand --json 'Print the message as a JSON object; errors are told in JSON, too'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;serve'= {
            cand --listen 'Listen on this address [default: 127.0.0.1:5000] [env: CONVO_LISTEN]'
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;settle'= {
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;migrate'= {
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;copy'= {
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --release 'Give the copy up, or the old database back: let FROM take changes again'
            cand --json 'Print a JSON object; errors are told in JSON, too'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'convo;sandbox'= {
            cand --listen 'Listen on this address [default: 127.0.0.1:5001]'
            cand --webhook-url 'Post the signed webhooks here'
            cand --key-file 'Keep the signing key in this file, so that it outlives the run'
            cand --server 'Ask this convo server instead of opening the database [env: CONVO_SERVER]'
            cand --color 'Use colour: auto, always or never'
            cand --sandbox 'Play with a simulated Telnyx and a database of its own, sandbox.db'
            cand --utc 'Show times to people in UTC, not in the local time zone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
