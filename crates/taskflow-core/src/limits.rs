//! Every limit of TaskFlow in one place, each with its reason.
//! It only names numbers; the rules that apply them live beside their words.

/// Longest title, in Unicode code points: the earlier service's column, counted as people count.
pub const TITLE_CHARS_MAX: usize = 255;
/// Longest description, in bytes: a page of prose, not a document store.
pub const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
/// Longest queue or kind name, in characters: fits every index entry and every log line.
pub const NAME_CHARS_MAX: usize = 100;
/// Longest worker name, in characters: a host name (253 at most in DNS) is cut, host:pid fits.
pub const WORKER_CHARS_MAX: usize = 200;
/// Longest name of a worker's process, in characters: a UUID and more fit.
pub const INSTANCE_CHARS_MAX: usize = 64;
/// Longest name and version of a worker's program that is kept, in characters: a `User-Agent`'s first words.
pub const VERSION_CHARS_MAX: usize = 100;
/// Largest payload, checkpoint or result, in bytes of JSON text: what one request may carry.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of a JSON value: far beyond honest data, far below any parser's stack.
pub const JSON_DEPTH_MAX: usize = 64;
/// Longest number in a JSON value, in characters: exact decimals fit, a megabyte of digits does not.
pub const JSON_NUMBER_CHARS_MAX: usize = 1000;
/// Most tags of one task: a label set that a person can read.
pub const TAGS_MAX: usize = 50;
/// Longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 100;
/// Most keys in a task's metadata: labels, not a second payload.
pub const METADATA_KEYS_MAX: usize = 64;
/// Largest metadata object, in bytes of JSON text.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Longest unique or concurrency key, in characters: it stands in an index.
pub const KEY_CHARS_MAX: usize = 255;
/// Most tasks that one task may wait for: each is a row and a check at creation.
pub const DEPENDENCIES_MAX: usize = 100;
/// Longest error text kept, in bytes; longer ones are cut with a mark: a stack trace fits.
pub const ERROR_BYTES_MAX: usize = 16 * 1024;
/// Longest progress message, in characters: one line.
pub const PROGRESS_MESSAGE_CHARS_MAX: usize = 500;

/// Default number of attempts.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 5;
/// Most attempts: beyond it a task is a loop.
pub const MAX_ATTEMPTS_MAX: u32 = 100;
/// Default length of a lease, in seconds.
pub const LEASE_SECONDS_DEFAULT: u32 = 30;
/// Longest lease, in seconds: a dead worker is noticed within the day; heartbeats carry longer work.
pub const LEASE_SECONDS_MAX: u32 = 24 * 3600;
/// Longest `timeout_seconds`: one week; work beyond that is many tasks.
pub const TIMEOUT_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// Longest delay of a task, a snooze or `retry_after_seconds`, in seconds: a year.
pub const DELAY_SECONDS_MAX: f64 = 366.0 * 24.0 * 3600.0;
/// Longest back-off cap, in seconds: thirty days.
pub const BACKOFF_SECONDS_MAX: f64 = 30.0 * 24.0 * 3600.0;
/// Largest back-off factor: beyond it the cap is reached at once.
pub const BACKOFF_FACTOR_MAX: f64 = 100.0;
/// Latest instant that a task may name: the end of year 9998, so that every zone can print it.
pub const INSTANT_MAX_MICROS: i64 = 253_370_764_799_999_999;

/// Most attempts whose history is kept per task; the oldest go first: snoozing for ever stays cheap.
pub const ATTEMPTS_KEPT: u32 = 100;

/// Largest page of a list: the earlier service's limit.
pub const PAGE_MAX: u32 = 1000;
/// Page size when none is asked for: the earlier service's default.
pub const PAGE_DEFAULT: u32 = 100;
/// Payloads, results, checkpoints, metadata, descriptions and errors of one page, in bytes; a heavier one is
/// refused: an answer is built in memory.
pub const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most tasks that one look of a bulk action finds: their ids and versions, no payloads.
pub const FIND_MAX: u32 = 5_000;
/// Largest `skip`: an offset is walked row by row; cursors are for the deep end.
pub const SKIP_MAX: u32 = 1_000_000;
/// Longest search text, in characters: a line that a person types or pastes.
pub const SEARCH_CHARS_MAX: usize = 200;
/// Most words and phrases of a search text: each is looked for in each text.
pub const SEARCH_TERMS_MAX: usize = 10;
/// How much one page of a search may cost, in tenths of a microsecond as its store reckons them: some
/// milliseconds; the page ends there and says where the next one begins.
pub const SEARCH_EFFORT_MAX: u64 = 60_000;
/// Titles and descriptions that one page of a search reads, in bytes, for the same reason.
pub const SEARCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Fewest new texts of which a sketch is made: the newest ones are read one by one.
pub const SEARCH_SKETCH_MIN: u32 = 1_024;
/// Fewest texts in a sketch that is full before: a sketch of few long texts costs more than it spares.
pub const SEARCH_SKETCH_LEAST: u32 = 128;
/// Most texts in a sketch, as many are read when it may hold what is looked for; and about as many are put
/// into sketches in one step.
pub const SEARCH_SKETCH_MAX: u32 = 2_048;
/// Most edited texts that are kept apart from the sketches; beyond it a search reads texts one by one.
pub const SEARCH_EDITED_MAX: u32 = 1_000;

/// Most tasks that one claim hands out: the measured knee of batch size is 100; 1,000 only adds latency.
pub const CLAIM_MAX: u32 = 1000;
/// Payloads and checkpoints of one claim, in bytes, after which it stops short of its limit: what one
/// answer may weigh.
pub const CLAIM_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most queues or kinds that one claim names: each is an index probe.
pub const CLAIM_NAMES_MAX: usize = 100;
/// Longest wait of a claim, in seconds: below the idle limits of common proxies.
pub const WAIT_SECONDS_MAX: f64 = 60.0;
/// Most items in each part of one `sync`: one transaction must stay short for its neighbours.
pub const SYNC_ITEMS_MAX: usize = 1000;
/// Most tasks of one bulk create: one commit that its neighbours wait for some tenths of a second.
pub const BULK_MAX: usize = 10_000;
/// Most tasks that one step of a bulk action changes: one transaction, which claims wait for some
/// milliseconds on SQLite.
pub const MANY_STEP: usize = 200;
/// How long one bulk action goes on, in seconds: below the idle limits of common proxies.
pub const MANY_SECONDS_MAX: u64 = 20;
/// Up to so many tasks a dry run counts one by one; it stops there.
pub const MANY_COUNTED_MAX: u64 = 100_000;
/// Farthest that a place in line is counted: beyond it the number says nothing more.
pub const LINE_MAX: u32 = 10_000;
/// Most faults that one answer lists: whoever sees a hundred knows the pattern.
pub const FAULTS_MAX: usize = 100;

/// Most commands that one transaction of the writer takes: keeps the wait of the first one short.
pub const WRITER_BATCH_MAX: usize = 512;
/// Most commands that wait for the writer; beyond it callers get `Busy` (503): about a second of work.
pub const WRITER_QUEUE_MAX: usize = 16 * 1024;
/// Most bytes that wait for the writer; beyond it callers get `Busy` (503): bounds memory under load.
pub const WRITER_QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most claims parked in one process; beyond it 429: each holds a connection and a few hundred bytes.
pub const WAITERS_MAX: usize = 10_000;
/// Most rows that one sweep of the reaper changes in one transaction.
pub const SWEEP_MAX: u32 = 500;

/// Default of `starvation_guard`: one start in 16 costs priority work 6 % and lets nothing wait for ever.
pub const STARVATION_GUARD_DEFAULT: u32 = 16;
/// Largest `starvation_guard`: beyond it the oldest task waits as good as for ever.
pub const STARVATION_GUARD_MAX: u32 = 10_000;
/// Largest limit of leases of a queue or key: each is a row that a claim counts.
pub const CONCURRENCY_LIMIT_MAX: u32 = 100_000;
/// Most tasks of a rate limit.
pub const RATE_TASKS_MAX: u32 = 1_000_000;
/// Longest span of a rate limit, in seconds: a day.
pub const RATE_SECONDS_MAX: u32 = 24 * 3600;
/// Longest retention, in seconds: ten years.
pub const RETENTION_SECONDS_MAX: u32 = 10 * 365 * 24 * 3600;
/// Longest reason of a pause, in characters: one line.
pub const PAUSE_REASON_CHARS_MAX: usize = 500;
/// Most queues with settings of their own: every claim reads those with limits.
pub const QUEUES_MAX: usize = 1000;
/// Most tasks of full `concurrency_key`s that one look for work passes over in each lane.
pub const KEYED_WALK_MAX: u32 = 1000;
/// Most keys that it looks at behind them, in each lane.
pub const KEYS_WALK_MAX: u32 = 10_000;
/// Most holders of a limit that an explanation names.
pub const HOLDERS_MAX: u32 = 10;
/// Most workers that one process remembers between two writes of its memory; others are noted by their next
/// call. A few megabytes, and no more workers than claims may be parked.
pub const WORKERS_SEEN_MAX: usize = 10_000;
/// Most processes of one worker's name that are to drain at once: those that run, and a few that ran.
pub const DRAINED_MAX: usize = 8;
/// Most tasks that a worker is shown with; it may hold more.
pub const HOLDS_SHOWN: usize = 100;
/// Most tasks that one transaction takes from a worker.
pub const RELEASE_MAX: u32 = 500;
/// Seconds after its last call until a worker that holds nothing is forgotten: a day.
pub const WORKER_KEPT_SECONDS: f64 = 24.0 * 3600.0;
/// Seconds since its last call within which a worker counts as there: the longest wait of a claim and then some.
pub const WORKER_THERE_SECONDS: f64 = 90.0;
/// Longest `Idempotency-Key`, in characters: any UUID or hash fits.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// How long an answer is kept for its `Idempotency-Key`, in seconds: whoever repeats does so within a day.
pub const IDEMPOTENCY_SECONDS: f64 = 24.0 * 3600.0;
/// Largest answer that is kept for a key, in bytes: a task with the largest payload, checkpoint and result
/// fits. A request whose answer is larger is refused and not done.
pub const IDEMPOTENCY_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most keys that one sweep forgets in one transaction.
pub const IDEMPOTENCY_SWEEP_MAX: u32 = 500;
/// How long a session of the dashboard lasts without a visit, in seconds: through a working day, and not
/// through the night after it.
pub const SESSION_IDLE_SECONDS: f64 = 12.0 * 3600.0;
/// How long a session of the dashboard lasts at most, in seconds: a week, then whoever copied it is out too.
pub const SESSION_SECONDS: f64 = 7.0 * 24.0 * 3600.0;
/// Seconds after which a visit of a session is written down again: pages that are read every few seconds
/// must not be a write each, and a minute is nothing beside the idle limit.
pub const SESSION_SEEN_SECONDS: f64 = 60.0;
/// Most sessions of a tenant that are kept; the one seen longest ago goes when another is opened: more than
/// people sign in within a week, and one who signs in again and again fills no disk.
pub const SESSIONS_MAX: u32 = 1000;
/// Most sessions that one sweep forgets in one transaction.
pub const SESSIONS_SWEEP_MAX: u32 = 500;
/// Most ended tasks that one step of the retention removes in one transaction: some ten milliseconds
/// that the neighbours wait for.
pub const PRUNE_MAX: u32 = 500;
/// Payloads, checkpoints and results of one such step, in bytes, after which it stops short: the pages
/// of a large text are freed one by one.
pub const PRUNE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most pairs of a queue and an ended status that one such step removes from.
pub const PRUNE_LANES_MAX: usize = 100;

/// For how many minutes what happened is kept minute by minute: a day, for a look at yesterday's peak.
pub const SERIES_MINUTES_MAX: u32 = 24 * 60;
/// Minutes of a series when none are asked for.
pub const SERIES_MINUTES_DEFAULT: u32 = 60;
/// Most queues that have a series of their own in one minute, the first that come; what the others do counts
/// in the sum of all only. A queue per customer would make a row per customer and minute.
pub const SERIES_QUEUES_MAX: usize = 100;
/// Most queues, and most kinds, that one answer of the statistics lists.
pub const STATS_NAMES_MAX: u32 = 1000;
/// Most failed tasks that one look at their errors reads, the newest ones: two pages of a few megabytes at
/// most, read within some tenths of a second. Whoever looks at more than 10,000 failures looks at their sorts.
pub const FAILURES_LOOKED_MAX: u32 = 10_000;
/// As much of an error is read for a list of failures, in characters: its first lines, and 5,000 of them stay
/// small.
pub const FAILURE_ERROR_CHARS_MAX: u32 = 1_000;
/// Longest sort of an error, in characters: one line that a person can read.
pub const ERROR_SORT_CHARS_MAX: usize = 200;
/// Longest example of a sort of errors, in characters: one long line.
pub const ERROR_EXAMPLE_CHARS_MAX: usize = 500;
/// Most groups of failures of one answer: whoever sees two hundred reasons has another problem.
pub const FAILURE_GROUPS_MAX: usize = 200;
/// Most queues that a group of failures names.
pub const FAILURE_QUEUES_MAX: usize = 5;
/// Most leases that ended and were not rescued that a look counts: beyond it the number says nothing more.
pub const OVERDUE_COUNTED_MAX: u32 = 1_000;
/// Seconds after the end of a lease until it counts as overdue: a sweep a quarter of a second has had many
/// chances, and a busy writer its time.
pub const OVERDUE_AFTER_SECONDS: f64 = 5.0;

/// Most tasks that one subscriber to events names: those of one page that a person looks at.
pub const EVENT_TASKS_MAX: usize = 200;
/// Most sorts of events that one subscriber names: more than there are.
pub const EVENT_SORTS_MAX: usize = 20;
/// Events that a process keeps for whoever reads late or comes back: seconds at full speed, minutes otherwise,
/// and a few MiB at most.
pub const EVENTS_KEPT: usize = 8192;
/// Tags and texts of the events that are kept, in bytes.
pub const EVENTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most subscriptions to events of one process: most have a connection of their own, and of the server's 10,240
/// connections some must be left for other callers.
pub const EVENT_SUBSCRIBERS_MAX: usize = 8_000;
/// Most events that a subscriber gets in one piece.
pub const EVENT_PIECE_MAX: usize = 128;
/// Largest message that a WebSocket client may send, in bytes: a subscription is far smaller.
pub const WS_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Most subscriptions of one WebSocket.
pub const WS_SUBSCRIPTIONS_MAX: usize = 32;
/// Most messages, pings among them, that a WebSocket client may send in ten seconds: nobody clicks so fast.
pub const WS_MESSAGES_MAX: u32 = 200;
