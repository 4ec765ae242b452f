//! convo groups inbound and outbound SMS by contact into lasting conversation threads, over the
//! Telnyx Messaging API. This page describes its architecture: what depends on what, the ideas
//! behind it, and which file holds what.
//!
//! There are three entry points: the command line, the REST API and Telnyx's webhook. All of them
//! call [`threading`], which decides what a conversation is and uses the database ([`store`]) and
//! Telnyx's API ([`telnyx`]). Whatever can be a plain value or a pure function is in [`domain`].
//!
//! # Dependencies
//!
//! A module uses only modules further down this list; a test enforces the order and reports any
//! dependency that points upwards.
//!
//! ```text
//! main → run → commands → cli → backend → config → { server, client, sandbox } → { forwarding, media }
//!      → threading → { store → migration, telnyx } → { metrics, output } → domain
//!      → { logging, systemd, throttle, tls, runtime, net } → error → { stdio, secret, clock }
//! ```
//!
//! Each heavy dependency is used in one place: SeaORM in [`store`] and the `migration` crate, warp
//! in [`server`] and [`sandbox`], comfy-table in [`output`], the Prometheus client in [`metrics`],
//! the object store in [`media`], systemd in [`systemd`], the process environment in [`config`], the system clock in [`clock`].
//!
//! # Ideas
//!
//! **A status only moves forward.** Statuses are ordered. Delivery reports are stored as rows first,
//! and a message's status is a fold over all rows about it, written by one guarded `UPDATE`. The
//! same reports in any order, repeated any number of times, on any number of servers, end in the
//! same status.
//!
//! **One writer, group commit.** [`store::writer`] has its own thread and connection. It takes the
//! jobs that are queued, writes them in one transaction with a fixed number of set-based statements,
//! commits, and only then answers each caller. There is no timer: an idle writer commits at once, a
//! busy one in large batches. A webhook is answered with 200 after that commit. A batch that fails because
//! of one row is retried job by job, and one that hit a deadlock or serialization failure is retried
//! as a whole. A batch that only adds rows is begun, written and committed in one message to the
//! database, unless duplicates have to be looked up or a pooler is between. Writers in several processes share SQLite's write lock by polling it and pausing
//! briefly between batches.
//!
//! **Batch verification.** The signatures of webhooks that wait at the same time are verified
//! together; only if that fails is each verified by itself.
//!
//! **Events are identified by their ids, never by their content.** The raw event is inserted first
//! under its unique id, then its message under Telnyx's unique id for it. A duplicate
//! changes nothing.
//!
//! **A send is a row before it is a request.** The row holds the exact bytes and the URL, and every
//! retry uses them under the same idempotency key. [`telnyx::answer`] classifies responses by what
//! they prove: accepted, certainly not sent, or nothing. Once an attempt was ambiguous, only evidence
//! settles the message: an acceptance, a delivery report, or Telnyx's own record.
//!
//! **A report may arrive before the response to the send.** Each send is tagged with its id, which
//! its reports repeat. A report without a tag waits while a message between the same two numbers has
//! no outcome; otherwise it is about another program's message, which joins the conversation.
//!
//! **A send belongs to the server, not to the connection.** It runs in a task that a client's
//! disconnect cannot cancel and that a shutdown waits for.
//!
//! **Load is bounded.** Connections, sends, queued webhooks and large request bodies have limits;
//! what exceeds them is answered with 503 at once, while `/health` still responds. The accept loop tracks
//! the phase of each connection from outside its task, so that no client can hold one forever and a
//! shutdown knows which ones to wait for.
//!
//! **One error type.** An [`error::Code`] determines the HTTP status, the exit code and the name in
//! JSON. Internal details are logged where they occur and never put into an error.
//!
//! **The same commands, locally or through a server.** [`backend::Backend`] is an enum of the
//! database and a client for a server. Both return the same values, which the same code prints.
//!
//! **Metrics are recorded where events occur.** They belong to the process, as its log does. Neither
//! ever receives a text, a phone number, a path or a token.
//!
//! **PgBouncer in transaction pooling mode is detected** when a connection is made. Behind a pooler,
//! every transaction applies the session settings that it needs; a direct connection gets them once.
//! Dead connections are recognised by a timeout and replaced.
//!
//! **A copied database protects itself.** During `convo copy` and afterwards, triggers in the source
//! reject every change, whichever program attempts it.
//!
//! **One feed.** Whatever changes a message or an opt-out becomes an entry of one ordered list, written in
//! the same transaction. Positions are given at its very end, under a lock that is held until the commit,
//! so entries become visible in their order: a reader that goes on from the last one it has seen misses
//! none. Everything that follows what happens is such a reader.
//!
//! **Nothing stays missing.** A webhook may be lost. What Telnyx lists is read from where it was last
//! read, by Telnyx's clock and with an overlap, by one process at a time; it goes through the door of a
//! webhook, so that what is known changes nothing, and what is new is marked: no program takes an old
//! text for a new one.
//!
//! **Search by words of our own.** [`domain::words`] makes the words of a text, and both databases index
//! these, so that the same question has the same answers. The index only tells which messages have all
//! words; phrases and exclusions are checked on the messages. It follows the feed in batches, and a search
//! first brings it up to date.
//!
//! **Statistics are sums of blocks.** The messages are divided into ranges of ids of a few thousand each. The
//! feed tells which messages have changed, and what it does not tell is recorded with the change; the sums
//! of their blocks are made anew from the messages, by whoever asks or by a server in the background.
//!
//! **Keyset pagination.** A page begins after the last row of the previous one, by value: there is no
//! `OFFSET`, and no database cursor is held open for a slow reader.
//!
//! **The sandbox replaces Telnyx** over real HTTP with real signatures; tests use it, too. A server
//! that runs one stores its address in its database, where commands find it without configuration.
//!
//! # Where things are
//!
//! Every file below `src/`. The line of a directory is about its `mod.rs`, or the file of that name
//! beside it. Unit tests are at the end of the file that they test, or in `tests` beside it.
//!
//! ```text
//! main.rs                calls run
//! run.rs                 one run of the program: from the arguments to the exit code
//!
//! commands/              the list of commands, and which one runs
//!   list.rs wait.rs retry.rs cancel.rs mark.rs forward.rs sync.rs migrate.rs copy.rs export.rs config.rs
//!   health.rs prune.rs forget.rs backup.rs restore.rs
//!   openapi.rs sandbox.rs help.rs
//!                        the command of that name: its arguments, help, examples, and `run`
//!   copy/media.rs        the content of media, copied for `convo backup` and `convo restore`
//!   export/media.rs      `convo export --media`
//!   doctor/              `convo doctor`: printing what it found; the exit code by the worst
//!     checks.rs          every check in order, and what they share
//!     finding.rs         what a check found
//!     settings.rs database.rs account.rs endpoint.rs events.rs server.rs unit.rs
//!                        the checks: settings; database; key, numbers, profiles, clock; the webhook
//!                        URL; public key, last event, forwarding; the server; the systemd unit
//!   setup/               `convo setup`: from the first question to `convo doctor`
//!     questions.rs       key, public key and number, each tried
//!     profile.rs         the offer to set the profile's webhook URL
//!     terminal.rs        questions on the terminal, also for a secret
//!   completion.rs        `convo completion`; completion/bash.sh is the script for bash
//!   search.rs stats.rs   `convo search`; `convo stats`
//!   contact/             `convo contact`: which action runs
//!     list.rs name.rs    the contacts that have names; giving and removing one
//!     export.rs          names as vCards or CSV
//!     import/            names from a file: asking, and giving them
//!       vcard.rs table.rs entry.rs  reading vCards and CSV; what a file says of one number
//!       plan.rs report.rs  each number once; what became of each
//!   show/                `convo show`
//!     range.rs           reading a range of a conversation in constant memory
//!     follow.rs          `--follow`: what comes after it
//!   serve/               `convo serve`: startup, waiting for the database, drain and shutdown
//!     banner.rs          what `convo serve --sandbox` prints
//!     settings.rs        what a server needs to know, checked before it starts
//!   webhook/             `convo webhook`, the workbench: which action runs
//!     list.rs show.rs    the stored raw events; one as it came
//!     trigger.rs resend.rs post.rs  events made by hand, or once more; posting one, signed
//!     sign.rs verify.rs keygen.rs   signatures of bodies; key pairs
//!     workbench.rs       the key for development, the body on standard input
//!   batch/               `convo batch`: from the check to the exit code
//!     source.rs rows.rs  the file, copied; its rows
//!     template.rs        the text with columns
//!     args.rs recipients.rs  its arguments; recipients with a name
//!     checked.rs summary.rs  what is known of rows; what a check found, in words
//!     run.rs pace.rs hours.rs  sending at a pace; rates of numbers; hours of the day
//!     outcome.rs report.rs results.rs  what became of a row; reporting it; the result file
//!     wait.rs            `--wait`
//!   send/                `convo send`
//!     input.rs           the text of a message: an argument or standard input
//!     editor.rs          the text of a message, written in an editor
//!   watch/               `convo watch`
//!     events.rs          which events, and when it is over
//!     exec/              `--exec`: its options; running a command for each event
//!       dispatch.rs      which event is handled when; how far everything is handled
//!       child.rs input.rs  one run of the command; what it is given
//!       answer.rs        sending what it prints
//!       checkpoint.rs    the file with the position
//!   import/              `convo import`
//!     source.rs          what it reads, recognised by its beginning
//!     lines.rs seed.rs   the lines of an export; the example program's database
//!   progress.rs confirm.rs csv_lines.rs  progress bars; a question before something is changed; line
//!                        numbers of CSV files
//!   follow.rs            reading the feed across failures of the database or the server
//!   ask/                 `convo ask`
//!     search.rs wait.rs  which message is the answer; reading the feed until it is there
//!   chat/                `convo chat`
//!     session.rs         from its beginning to its end
//!     editor.rs input.rs the line to type in; what a typed line means
//!     outbox.rs          sending what was typed
//!   outcome.rs           what `send`, `wait` and `retry` print about a message
//!   poll.rs status_news.rs  waiting for a message's final status; news of statuses from the feed
//!   media.rs             `convo media`: listing the media files of a message, saving them
//!   context.rs           what a command gets: settings, terminal, backend, pager
//!   print.rs             how much to print; closed pipes and other failures to write
//!   read_marker.rs       marking read what a command has printed
//!   listen.rs signals.rs addresses and sockets to listen on; SIGTERM and Ctrl-C
//!   complete.rs          dynamic completions: contacts, ids and numbers at the TAB key
//!   generate.rs man.rs   the committed completions, manual pages and OpenAPI document
//! cli/                   what commands share on the command line
//!   options.rs           shared options: --sandbox, --server, --json, --limit, ...
//!   filter.rs moment.rs  filters of conversations and messages; the notation of times and durations
//!   event_filter.rs      filters of events
//!   value.rs             parsers of URLs and addresses
//!   help.rs              texts for help and manual pages; the first screen
//!   parse.rs             parsing; usage errors, suggestions for typos
//! backend/               each operation, on the database or through a server
//!   open.rs              opens the database and the Telnyx client from the configuration
//!   export.rs            an export, of the database or by a server
//!   forward.rs media.rs  the operations of forwarding; media files
//!   batches.rs           checking and recording batches
//!   forget.rs contacts.rs  forgetting contacts; their names
//!   stats.rs             statistics
//!   stored_events.rs     the raw events
//!   unread.rs            marking conversations read and unread
//! config/                the settings, each resolved when a command asks for it
//!   source.rs layers.rs  looking one up; the environment and the settings files
//!   file.rs dotenv.rs    opening and reading files; the format of settings files
//!   exposure.rs          which secrets may go to which addresses
//!   user_file.rs         writing the user's own settings file
//!   explain.rs           every setting with its source, for `convo config`
//!   media.rs             where media are kept; what AWS's settings say about a bucket
//!   variables.rs         names, defaults and meanings of the environment variables
//!   values.rs            numbers, durations, sizes and switches with their ranges
//!
//! server/                the server: start, drain, shutdown, whether it is alive
//!   listeners.rs         the sockets it accepts connections on
//!   accept.rs            accept loop: connection limit, eviction of idle ones, closing
//!   connection.rs        phase of a connection: idle, reading, writing, stalled
//!   service.rs           service of a connection: what every request passes before its route
//!   permits.rs           permits for requests, which body is abandoned for one; places for
//!                        those who follow the feed
//!   request_log.rs       outermost service: request id, log line, request metrics
//!   context.rs           what is known of a request: its id (given or new), route, token name
//!   routes/              paths, methods, and which scope each route requires, by subject
//!     conversations.rs contacts.rs messages.rs sending.rs feed.rs webhooks.rs service.rs
//!                        the routes of each
//!     filters.rs methods.rs  what they are made of
//!   access/              who may call: tokens, scopes, binding rules without a token
//!     token.rs           `CONVO_API_TOKEN`: parsing names, scopes and tokens
//!     attempts.rs        rate limit for wrong tokens per address
//!     peer.rs            which user a local peer's socket belongs to
//!     local.rs           whether a caller without a token is a program on this machine
//!   limits.rs            limits and shutdown times, with their defaults
//!   body.rs json_body.rs reading request bodies in bounded memory; those that are JSON objects
//!   path.rs query.rs     path segments; query parameters
//!   budget.rs            budgets that clients share
//!   answer_memory.rs     the memory that responses take until they are read
//!   plus.rs              plus signs that became spaces
//!   webhook.rs           `POST /webhooks/sms`
//!   send.rs              `POST …/send`: request body, idempotency key
//!   batches.rs           `POST /batches/{id}/check`, `POST /batches/{id}`
//!   conversations.rs     `GET /conversations`, `GET /conversations/{id}`
//!   contacts.rs          `/contacts`, `/conversations/{contact}/name`: names of contacts
//!   events.rs            `GET /events`: pages, long polls, server-sent events
//!   stored_events.rs     `GET /webhooks/events`, `GET /webhooks/events/{id}`
//!   export.rs            `GET /export`: everything, as JSON lines
//!   forget.rs            forgetting a contact; the marks of those that were
//!   forwards.rs          `/forwards`: where forwarding stands; test, enable, replay
//!   sync.rs              `POST /sync`: its progress, one line at a time
//!   messages.rs          `GET /messages/{id}`, `POST /messages/{id}/retry` and `…/cancel`
//!   search.rs            `GET /messages`: searching messages
//!   unread.rs            marking conversations read and unread
//!   stats.rs             `GET /stats`: statistics
//!   media.rs             `GET /messages/{id}/media/{n}`: a media file or a part of it
//!   health.rs            `GET /health`, `GET /health/ready`
//!   metrics.rs           `GET /metrics`
//!   response.rs          JSON responses, error responses, security headers
//!   list.rs              lists: all rows, or a page with a link to the next one
//!   stream.rs            long lists streamed as JSON, page by page
//!   state.rs             what handlers share: conversations, permits, sends in progress
//!   openapi/             the OpenAPI document
//!     routes.rs          the operation of each route
//!     conversations.rs unread.rs contacts.rs sending.rs messages.rs feed.rs webhooks.rs service.rs
//!                        operations by subject: parameters, responses, errors
//!     operation.rs       builder for an operation, with the errors that all routes share
//!     schemas.rs examples.rs  JSON schemas of the types; example values
//! client/                the REST API's client: each operation as an HTTP request
//!   address.rs           which server URLs are allowed
//!   exchange.rs          one request and response; what a failure means for the caller
//!   health.rs            the response about a server's health
//!   feed.rs              reading the feed by long polling
//!   export.rs            reading an export as it comes
//!   forward.rs forget.rs contacts.rs  the operations of forwarding; forgetting contacts; their names
//!   media.rs             reading a media file
//!   stored_events.rs     the raw events
//!   unread.rs            marking conversations read and unread
//!   posted_webhook.rs    posting a webhook as Telnyx does
//!   sync.rs              a sync, followed line by line
//!   connect_error.rs     why a connection failed: DNS, TLS, certificates
//!   search.rs stats.rs   searching messages; statistics
//!   batches.rs           checking and recording batches
//!   link.rs              the position of the next page, from the `Link` header
//!
//! sandbox/               the simulated Telnyx: options, delays, start
//!   account.rs           the account's number and messaging profile
//!   routes.rs serve.rs   its HTTP routes, also those below `/sandbox`; its accept loop
//!   request.rs fields.rs validation of a send request as Telnyx does it; reading JSON fields
//!   send.rs              accepting a message: API key, idempotency keys, deliberate failures
//!   api_error.rs         Telnyx's error codes and error responses
//!   message.rs cost.rs   messages as Telnyx's JSON has them; their cost
//!   cancel.rs            cancelling a scheduled message
//!   contact.rs           special numbers and what simulated contacts reply
//!   lifecycle.rs         what happens to an accepted message: sent, finalized, answered
//!   webhook.rs key.rs    delivery of webhooks; the key that signs them
//!   delivery.rs lists.rs the record of a delivery; Telnyx's lists
//!   trigger.rs           events made by hand
//!   state.rs bounded_map.rs  what it remembers; a map with a size limit
//!
//! threading/             `Conversations`: list, find, show; readiness checks; send policy
//!   receive.rs           a webhook event becomes a message or a delivery report
//!   send.rs              a send: plan, row, offer, outcome; sender; request for Telnyx
//!   offer.rs             attempts to send to Telnyx within one call: retries and pauses
//!   outcome.rs           what an offer's result means for the row and for the caller
//!   replay.rs            repeats under an idempotency key: waiting for the first send
//!   reply.rs             automatic answers: to which message, from which number
//!   send_limits.rs       the errors for texts and answers beyond what a contact may get
//!   retry.rs cancel.rs   `convo retry`, `convo cancel`
//!   batches.rs           what is known of the rows of a batch
//!   feed.rs              reading the feed, and waiting for what comes
//!   search/              searching messages; keeping the search index up to date
//!     page.rs            the page of results that a search fills
//!   stats.rs             statistics; keeping the sums up to date that they are read from
//!   background.rs        the pace of work in the background
//!   stored_events.rs     listing the raw events, and reading one
//!   export.rs            reading an export, part by part
//!   names.rs             whom a number, a name or an id means; giving names
//!   retention.rs         removing what is no longer kept
//!   forget.rs            forgetting a contact, and refusing what is older
//!   unread.rs            marking conversations read and unread
//!   endpoint.rs          whether a webhook URL leads to a server on this database; which public key
//!                        verifies webhooks
//!   settle.rs            finding and settling what is left open, in rounds
//!   sync/                fetching what no webhook has brought; by itself in a server
//!     pass.rs            which time a pass reads, and where it goes on
//!     run.rs sources.rs  one sync; what it does with what each source lists
//!     pacer.rs           requests at a rate that Telnyx allows
//!   tenure.rs            what one process does at a time: taking a lease, and keeping it
//!   inspect.rs           figures for `/metrics`
//!
//! media/                 media of inbound messages: where they are kept
//!   fetcher.rs           finding them in the feed and in earlier messages, fetching them
//!   download.rs          one attempt to download a file: redirects, limits, the API key
//!   address.rs           from which addresses files may be fetched
//!   content.rs           the store: a directory or a part of an S3 bucket
//!   library.rs sweep.rs  reading what is kept; deleting what nothing refers to
//!   transfer.rs          copying all content to another store
//!
//! forwarding/            forwarding events to other programs: list, test, enable, replay
//!   target.rs filter.rs  receivers as the settings name them; filters of events
//!   worker.rs            forwarding to one receiver, in order, with repeats and pauses
//!   tenure.rs            one process at a time
//!   delivery.rs          one attempt to deliver an event
//!   signature.rs         signatures as Standard Webhooks prescribe them
//!
//! store/                 the database; its public names
//!   connect.rs           opening for a purpose: creating the file, checking, closing
//!   file_access.rs       who owns an SQLite file, and who can read it
//!   location/            `DATABASE_URL`: parsing, file modes, hiding the password
//!     postgres.rs        PostgreSQL URLs: TLS parameters as libpq has them
//!   pool/                connections by purpose; beginning a transaction
//!     sqlite.rs postgres.rs  opening and session settings of each database; PgBouncer
//!   reader.rs            the pool for reading, replaced when its connections are dead
//!   schema.rs mode.rs    migrations and whether the schema fits; real or sandbox database
//!   meta.rs              the `meta` table: keys and values
//!   model.rs             what callers hand to the writer: messages, events, reports, sends
//!   writer.rs            the writer thread: queue, group commit, reconnecting
//!   raw_event.rs         raw events, compressed with a dictionary that never changes
//!   job.rs               a job and its waiting caller
//!   write_session.rs     the writer's connection, on which it begins and ends transactions itself
//!   transaction.rs       a transaction that remembers what it changes, for the feed
//!     transaction/commit.rs  its end: what is only added, the feed and the commit in one message
//!   batch.rs             one transaction: order of jobs and row locks, retries, splitting
//!   handoff.rs           whether the writer or the caller decides about a queued send
//!   duplicate_check.rs   when a batch looks for known ids before inserting
//!   database_file.rs     whether the open SQLite file is still the one at its path
//!   leftover_wal.rs      whether the WAL beside a file belongs to it
//!   last_commit.rs       how the last transaction ended, for readiness
//!   checkpoint.rs        SQLite checkpoints while the writer is idle
//!   liveness.rs          whether the writer thread is responsive
//!   lease.rs             what only one process may do at a time
//!   forget/              forgetting a contact
//!     mark.rs marks.rs   the keyed hash that stays; setting, listing and importing them
//!     marked.rs          the contacts whose marks a database has
//!     feed.rs webhooks.rs  blanking its entries of the feed; removing webhooks about it
//!   prune/               removing what is too old, in small steps
//!     webhooks.rs messages.rs keys.rs compact.rs  of each kind; giving space back
//!   forwards/            where forwarding stands: reading it
//!     write.rs           steps of the process that forwards, under its lease
//!     request.rs         enabling and replaying
//!   sync.rs              how far each source of a sync has been read; what is known
//!   media.rs             what became of media files; which are to be fetched
//!     media/write.rs     steps of the process that fetches them, under its lease
//!     media/remove.rs    removing them with their messages, or by age
//!   sql/                 multi-row statements, row locks, engine differences
//!     insert.rs arrays.rs  inserting many rows; columns of them as PostgreSQL's arrays
//!     inserts.rs         inserting into several tables in one message
//!   endpoint.rs          what the database knows of the webhook's endpoint
//!   examine.rs           examining a database step by step, for `convo doctor`
//!   events.rs            a batch of raw events, and what they change
//!   messages.rs          inserting messages, conversations' counters, opt-outs, removal
//!   reports.rs fold.rs   inserting delivery reports; updating messages to the resulting status
//!   unread.rs            which messages are unread: marking them, counting them
//!   names/               names of contacts: finding and listing them
//!     write.rs           giving and removing names
//!   opt_outs.rs          opt-outs by contact: the latest STOP or START decides
//!   sends.rs             the row before a send, its outcome after it, idempotency keys
//!   batches.rs           which rows of batches were sent
//!     batches/check.rs   what is known of rows before they are sent
//!   send_limits.rs       how many texts and answers a contact may get within an hour
//!   settle/              settling in the database
//!     read.rs write.rs   finding what is open; leases of attempts, and results
//!   feed/                the feed: which changes it has
//!     entries.rs         the entries of its rows
//!     append.rs read.rs  giving positions at the end of a transaction; reading from a position
//!     wake.rs trim.rs    waking those who wait for more; removing old entries
//!   stored_events.rs     reading raw events along their key
//!   read.rs              one conversation and its messages; search by id fragment
//!   listing/             the list of conversations: filters, pages, last messages
//!     walk.rs            the conversations that may match a filter, by indices
//!   search/              the search index: what it has of a message; removing from it
//!     place.rs pending.rs  how far it has come; what it does not have yet
//!     index.rs           adding messages
//!     expression.rs      what the databases' indices are asked
//!     candidates/        the messages that may match, from new to old
//!       sqlite.rs postgres.rs  in the order of the row ids; by date, or by the index
//!   stats/               sums of blocks of messages, for statistics
//!     place.rs           how far they follow the feed
//!     changes.rs         which messages have changed; marking their blocks
//!     blocks.rs rows.rs  making the sums of a block; the columns of a message that are counted
//!     totals.rs          the sums of all blocks together
//!     read.rs contacts.rs  reading sums; the contacts with the most messages
//!   weight/              pages limited in bytes
//!     thread.rs          a page of a conversation, with few values a row
//!   inspect.rs           connection and open-message figures for `/metrics`
//!   export/              an export, page by page
//!     threads.rs events.rs  conversations; what belongs to none
//!     rows.rs            rows as its lines
//!   import/              storing batches of an import
//!     plan.rs write.rs   what of a batch is new; writing it
//!   seed/                the example program's database: recognising and reading it
//!     rows.rs            its rows as lines of an export
//!   sqlstate.rs          what PostgreSQL's error codes mean: retry, wait, or intervene
//!   db_error.rs          what a database error means: retry, unavailable, data, held
//!   open_error.rs        why a database could not be opened, for the operator
//!   hold.rs              the triggers that make a copied database read-only; the record of a copy
//!   copy/                copying a whole database and releasing the source
//!     backup.rs restore.rs  an SQLite file of one moment; an empty database filled from it
//!     partial_file.rs    a file that gets its name when it is complete
//!     prepare.rs transfer.rs  whether both databases are fit for it; copying and comparing
//!     load.rs            loading the target without its indices, which are created afterwards
//!     table.rs page.rs   pages of rows as plain values, limited in bytes; the cells of one
//!     batch.rs digest.rs writing a page; checksums
//!     driver.rs          the cells of a row, `INSERT` on SQLite, PostgreSQL's `COPY`, with SQLx
//!   entity/              SeaORM entities, one file per table
//!     conversation.rs message.rs delivery_report.rs event.rs idempotency_key.rs meta.rs
//!     opt_out.rs feed.rs merged_message.rs forward.rs forward_range.rs search_place.rs sync_source.rs
//!     media.rs media_progress.rs media_garbage.rs forgotten.rs batch.rs batch_row.rs contact_name.rs
//!                        the columns of the table of that name
//!     telnyx_id.rs       Telnyx's ids as bytes
//!
//! telnyx/                Telnyx's wire formats
//!   account.rs           the account's numbers and messaging profiles
//!   client.rs            HTTP client: sending, looking up a message
//!   cancel.rs            cancelling a scheduled message
//!   fetch.rs lists.rs    reading, and what a failure means; pages of Telnyx's lists
//!   base_url.rs          the URL of the API: https, or this machine
//!   answer.rs            what the response to a send proves: accepted, not sent, or nothing
//!   event.rs             webhook events and message payloads in convo's types
//!   content.rs           text and files of a message, by channel
//!   lenient_json.rs      reading fields that may be missing or of another shape
//!   signature.rs         verifying a webhook: the public keys, headers, age, Ed25519
//!   batch_verify.rs      batch verification
//!   mention.rs           whether a webhook is about a contact
//!
//! metrics/               one function for each thing that is recorded
//!   families.rs          the metrics: names, help texts, labels, buckets
//!   labels.rs            label values
//!   snapshot.rs          gauges read on request; the text format
//!
//! output/                formats, `Style`, module rules
//!   terminal.rs          what is known of the terminal: size, colour, pager
//!   list.rs table.rs     the list of conversations; its table layout
//!   thread.rs chat.rs    one conversation; the chat view
//!   search.rs contacts.rs  messages that were found; contacts that have names
//!   vcard.rs             contacts as vCards
//!   stats.rs             statistics and bar charts
//!   event.rs             events, one line each
//!   stored_events.rs     the list of stored webhook events
//!   doctor.rs            what `convo doctor` found
//!   export.rs            an export as CSV, and as a transcript
//!   send.rs              the line after a send; the plan of a dry run
//!   pages.rs             long lists, page by page, in every format
//!   rows.rs              a small table of plain texts
//!   record.rs json.rs    TAB-separated, CSV and ids; JSON that is safe on a terminal
//!   escape.rs            escaping untrusted text
//!   status.rs advice.rs  words and colours for statuses; what to do about a failure
//!   joiners.rs           invisible characters that are part of the spelling
//!   glyphs.rs tone.rs    symbols with ASCII fallbacks; the few colours
//!   time_zone.rs         whether `TZ` names a time zone
//!   target.rs            the options that commands in hints repeat
//!   time.rs width.rs     relative and local times; columns, cutting and wrapping
//!   pager.rs error.rs    the pager; printing an error and its hint
//!   samples.rs           conversations and messages for this module's tests
//!
//! domain/                re-exports
//!   conversation.rs      a conversation, its last message, how a user names one
//!   contact.rs naming.rs names of contacts: which there may be, how they are compared; naming several
//!   message.rs           a message, its direction, media, cost, error
//!   media.rs             states, types and file names of media; content hashes
//!   telnyx_codes.rs      hints for Telnyx's error codes
//!   status.rs verdict.rs statuses: order, final ones, failures; what one means for the caller
//!   event_outcome.rs     what became of a webhook event
//!   fold.rs              which report decides a message's status
//!   phone.rs             phone numbers and senders: parsing, hints, masking for logs
//!   send.rs              a send request: validation, media, schedule, hash, plan
//!   batch.rs             batches: names, rows, fingerprints, what is known of them
//!   segments.rs          GSM-7 or UCS-2, and how many segments
//!   feed.rs              the feed: events, cursors, filters
//!   forget.rs            the receipt of forgetting a contact, and the mark that stays
//!   forward.rs           where forwarding stands; the pauses between attempts
//!   stored_event.rs      stored webhook events: the list, a position in it
//!   export/              the lines of an export
//!     parse.rs           reading and checking one
//!   sync.rs              what a sync is to do, how far it is, what it has found
//!   listing.rs cursor.rs filters of a list; cursors, places and windows: which page of what
//!   idempotency_key.rs   callers' idempotency keys: validation
//!   search.rs words.rs   what a search finds, and where; the words of a text
//!   stats/               statistics: what is asked, and the answer
//!     sums.rs            sums of messages; putting an answer together
//!     offsets.rs         when the days of a place begin
//!   text.rs              NUL and lone surrogates
//!
//! error/                 the error: message, hint, further fields
//!   code.rs              error codes: HTTP status, exit code, JSON name
//! logging.rs             the log: filter, format, buffering, panics
//! systemd.rs             inherited socket, notifications, watchdog
//! throttle.rs            rate limit for repeated log lines
//! tls.rs                 the TLS provider
//! net.rs                 loopback addresses, why a request failed
//!   net/root_url.rs      URLs of servers: the same rule for convo's own and for Telnyx's
//! runtime.rs             tokio runtimes
//! stdio.rs               the standard streams, which wait where they are non-blocking
//! secret.rs              a string that `Debug` does not show
//! clock/                 the current time
//!   timestamp.rs         microseconds in UTC: arithmetic, parsing, formatting
//! ```
//!
//! Database migrations are in `migration/src/`, one file each.

pub mod backend;
pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod domain;
pub mod error;
pub mod forwarding;
pub mod logging;
pub mod media;
pub mod metrics;
mod net;
pub mod output;
mod run;
mod runtime;
pub mod sandbox;
pub mod secret;
pub mod server;
pub mod stdio;
pub mod store;
pub mod systemd;
pub mod telnyx;
pub mod threading;
pub mod throttle;
pub mod tls;

pub use run::run;
