//! The state machine as a page for people: `docs/state-machine.md` is printed from here.
//! It decides nothing; the rows come from `status.rs`, and tests hold its words against `step.rs`.

use crate::attempt::Outcome;
use crate::status::{Act, PendingReason, Status, TRANSITIONS};

const HEAD: &str = "\
# The state machine of a task

This page is printed from the code (`crates/taskflow-core/src/status.rs` and `diagram.rs`); do not edit it by hand.
After a change of the code: `cargo run -p taskflow-core --example state_machine > docs/state-machine.md`

```
            claim                    complete
 pending ───────────▶ in_progress ───────────────▶ completed
   ▲  │  ◀─────────── │   │  fail, attempts left: back to pending (run_at = later)
   │  │ cancel        │   └────────▶ failed        fail for good, or attempts used up: this is the dead letter
   │  └──────────▶ cancelled ◀─────┘ cancel
   └── retry (from completed, failed, cancelled: an explicit act)
```

`completed`, `failed` and `cancelled` are ends: nothing but an explicit retry moves a task on from there.
`completed_at` is set by completion only, `ended_at` by each of the three ends; a retry clears both.
";

const TRANSITION: &str = "
## Every transition

| from | act | to | what it does |
|---|---|---|---|
";

const PERSON: &str = "
## What a person may set

`PUT /api/v1/tasks/{id}` with a `status` follows the same table. The same status again changes nothing; anything else is
refused with 409 `illegal-transition`. A worker that held the task is fenced: its token is worth nothing from then on.
A task that a person starts has no lease, so it is never rescued, waits for no other task any more, and uses up no
attempt.

| it is | it may become |
|---|---|
";

const REASON: &str = "
## Why a task is pending

`pending_reason` is worked out when it is asked for, the first that fits; it is null for every other status.

| `pending_reason` | what it waits for |
|---|---|
";

const ATTEMPTS: &str = "
## How an attempt ends

The claim counts the attempt, so a task that kills its worker uses its attempts up too. A task whose attempt failed goes
back to `pending` while fewer than `max_attempts` are used up, the failure is retryable and the next start lies before
`deadline_at`; else it is `failed`. A retry by a person gives it all of its attempts again; their numbers go on rising.

| outcome | how it comes about | the task is then | counts against `max_attempts` |
|---|---|---|---|
";

/// In the order in which they are worked out.
const REASONS: [PendingReason; 4] = [
    PendingReason::Blocked,
    PendingReason::Ready,
    PendingReason::Retrying,
    PendingReason::Scheduled,
];

/// The whole page: the picture, every transition, why a task is pending and how attempts end.
pub fn state_machine_markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str(TRANSITION);
    for (from, act, to) in TRANSITIONS {
        row(&mut page, &[&code(from.as_str()), word(act), &code(to.as_str()), meaning(from, act)]);
    }
    page.push_str(PERSON);
    for from in Status::ALL {
        let to: Vec<_> = from.allowed().into_iter().map(|to| code(to.as_str())).collect();
        row(&mut page, &[&code(from.as_str()), &to.join(", ")]);
    }
    page.push_str(REASON);
    for reason in REASONS {
        row(&mut page, &[&code(reason.as_str()), waits_for(reason)]);
    }
    page.push_str(ATTEMPTS);
    for outcome in Outcome::ALL {
        let (how, then) = story(outcome);
        let counts = if counts(outcome) { "yes" } else { "no" };
        row(&mut page, &[&code(outcome.as_str()), how, then, counts]);
    }
    page
}

fn row(page: &mut String, cells: &[&str]) {
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

fn code(word: &str) -> String {
    format!("`{word}`")
}

fn word(act: Act) -> &'static str {
    match act {
        Act::Claim => "claim",
        Act::Start => "start",
        Act::Complete => "complete",
        Act::Rescue => "rescue",
        Act::Fail => "fail",
        Act::Cancel => "cancel",
        Act::Release => "release",
        Act::Retry => "retry",
    }
}

fn meaning(from: Status, act: Act) -> &'static str {
    match (act, from) {
        (Act::Claim, _) => {
            "a worker takes it: the attempt is counted and a lease with a fresh token begins"
        }
        (Act::Start, _) => "a person takes it: no lease, never rescued, not counted",
        (Act::Complete, Status::Pending) => "a person says that it is done",
        (Act::Complete, _) => {
            "the holder hands in the result, or a person says that it is done: the lease ends"
        }
        (Act::Rescue, _) => {
            "the attempt failed, timed out or lost its lease, and attempts are left: it runs again after the back-off, at once after a lost lease"
        }
        (Act::Fail, Status::Pending) => "a person gives it up, or `deadline_at` passed",
        (Act::Fail, _) => {
            "it failed for good, its attempts are used up, the next start would miss `deadline_at`, or a person gives it up"
        }
        (Act::Cancel, Status::Pending) => {
            "called off, not started before `expires_at`, or a task that it waits for did not complete: it never starts"
        }
        (Act::Cancel, _) => "called off: the holder is fenced and told at its next heartbeat",
        (Act::Release, _) => {
            "the holder gives it back, snoozes it or stops, or a person moves it back: no attempt is used up"
        }
        (Act::Retry, _) => {
            "run once more: result, error and both end times are cleared, all attempts are available again"
        }
    }
}

fn waits_for(reason: PendingReason) -> &'static str {
    match reason {
        PendingReason::Ready => "nothing but a free worker",
        PendingReason::Scheduled => "its `run_at`",
        PendingReason::Retrying => {
            "the end of the back-off after a failed attempt (also its `run_at`)"
        }
        PendingReason::Blocked => "tasks in its `depends_on` that have not completed",
    }
}

/// How an attempt comes to end so, and what its task is then.
fn story(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Completed => ("the worker, or a person, completed it", "`completed`"),
        Outcome::Failed => {
            ("the worker, or a person, said that it failed", "`pending`, or `failed` for good")
        }
        Outcome::TimedOut => {
            ("it ran into `timeout_seconds` or `deadline_at`", "`pending`, or `failed` for good")
        }
        Outcome::LeaseExpired => (
            "no heartbeat came before the lease ended",
            "`pending` and ready at once, or `failed` for good",
        ),
        Outcome::Released => ("the holder, or a person, gave it back", "`pending`"),
        Outcome::Snoozed => ("the holder asked for it again later", "`pending` until then"),
        Outcome::Cancelled => ("the task was cancelled while it ran", "`cancelled`"),
        Outcome::Interrupted => {
            ("the worker stopped before it was through, as in a restart", "`pending`")
        }
    }
}

/// Whether an attempt that ended so uses up one of `max_attempts`.
pub(crate) const fn counts(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Completed
        | Outcome::Failed
        | Outcome::TimedOut
        | Outcome::LeaseExpired
        | Outcome::Cancelled => true,
        Outcome::Released | Outcome::Snoozed | Outcome::Interrupted => false,
    }
}
