//! Properties of one task under any sequence of commands: what holds after every step, whoever
//! sends what and in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::attempt::Outcome;
use crate::json::Json;
use crate::status::{Act, TRANSITIONS};

/// Whose token a call carries.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// That of the latest claim.
    Latest,
    /// That of some earlier claim, counted back from the latest.
    Older(u8),
    /// One that was never given out.
    Nobodys,
}

#[derive(Debug, Clone)]
enum Event {
    Tick(f64),
    Claim(Option<u32>),
    Extend(Whose),
    Finish(Whose, Finish),
    /// The latest finish that was sent, once more.
    Again,
    Expire,
    Move(Status),
    Unblock,
    Withdraw,
    ParentLost,
}

fn finishes() -> impl Strategy<Value = Finish> {
    let result = proptest::option::of((0..3u8).prop_map(|n| Json::from_stored(n.to_string())));
    let after = proptest::option::of(0.0..100.0f64);
    prop_oneof![
        1 => result.prop_map(|result| Finish::Completed { result }),
        4 => ("[a-c]{0,2}", any::<bool>(), after)
            .prop_map(|(error, retryable, retry_after)| Finish::Failed { error, retryable, retry_after }),
        1 => (0.0..100.0f64).prop_map(|delay| Finish::Snoozed { delay }),
        1 => Just(Finish::Released),
        1 => Just(Finish::Interrupted),
    ]
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![
        4 => Just(Whose::Latest),
        1 => (1..4u8).prop_map(Whose::Older),
        1 => Just(Whose::Nobodys),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Event>> {
    let act = prop_oneof![
        4 => prop_oneof![Just(0.0), 0.0..5.0f64, 0.0..200.0f64].prop_map(Event::Tick),
        6 => proptest::option::of(1..90u32).prop_map(Event::Claim),
        2 => whose().prop_map(Event::Extend),
        5 => (whose(), finishes()).prop_map(|(whose, finish)| Event::Finish(whose, finish)),
        2 => Just(Event::Again),
        3 => Just(Event::Expire),
        2 => proptest::sample::select(Status::ALL.to_vec()).prop_map(Event::Move),
        1 => Just(Event::Move(Status::Pending)),
        1 => Just(Event::Withdraw),
        1 => Just(Event::Unblock),
        1 => Just(Event::ParentLost),
    ];
    proptest::collection::vec(act, 1..60)
}

fn worlds() -> impl Strategy<Value = World> {
    let seconds = || proptest::option::weighted(0.3, 1.0..2000.0f64);
    (
        (1..=4u32, super::retry::policies(), 1..90u32),
        proptest::option::weighted(0.3, 1..120u32),
        (seconds(), seconds()),
        0..=2u32,
    )
        .prop_map(
            |((max_attempts, retry, lease_seconds), timeout_seconds, ends, blocked_by)| {
                let terms = Terms {
                    max_attempts,
                    retry,
                    timeout_seconds,
                    deadline_at: ends.0.map(at),
                    expires_at: ends.1.map(at),
                    lease_seconds,
                };
                World {
                    case: Case { terms, state: State::born(at(0.0), blocked_by, at(0.0)) },
                    now: at(0.0),
                    claims: 0,
                    sent: None,
                    closed: BTreeSet::new(),
                }
            },
        )
}

#[derive(Clone)]
struct World {
    case: Case,
    now: Timestamp,
    /// Claims that were sent; the token of the n-th is `TokenHash::from n`.
    claims: u32,
    sent: Option<(TokenHash, Finish)>,
    /// Attempts whose end is in the history.
    closed: BTreeSet<u32>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} born {:?}", self.case.terms, self.case.state)
    }
}

type Checked = Result<(), TestCaseError>;

impl World {
    fn token(&self, whose: Whose) -> TokenHash {
        let n = match whose {
            Whose::Latest => self.claims,
            Whose::Older(back) => self.claims.saturating_sub(u32::from(back)),
            Whose::Nobodys => u32::MAX,
        };
        TokenHash(u128::from(n).to_be_bytes())
    }

    fn command(&mut self, act: Event) -> Option<Command> {
        Some(match act {
            Event::Tick(seconds) => {
                self.now = self.now.plus_seconds(seconds);
                return None;
            }
            Event::Claim(lease_seconds) => {
                self.claims += 1;
                let worker = WorkerName::parse("w").unwrap();
                Command::Claim { worker, token: self.token(Whose::Latest), lease_seconds }
            }
            Event::Extend(whose) => {
                Command::Extend { token: self.token(whose), progress: None, checkpoint: None }
            }
            Event::Finish(whose, finish) => {
                let token = self.token(whose);
                self.sent = Some((token, finish.clone()));
                Command::Finish { token, finish }
            }
            Event::Again => {
                let (token, finish) = self.sent.clone()?;
                Command::Finish { token, finish }
            }
            Event::Expire => Command::Expire,
            Event::Move(to) => Command::Move(to),
            Event::Withdraw => Command::Withdraw(WorkerName::parse("w").unwrap()),
            Event::Unblock => Command::Unblock,
            Event::ParentLost => Command::ParentLost(id()),
        })
    }

    /// One act, and everything that must hold after it.
    fn go(&mut self, act: Event) -> Checked {
        let Some(command) = self.command(act) else { return Ok(()) };
        let before = self.case.state.clone();
        let twin = step(id(), &self.case.terms, &before, command.clone(), self.now);
        let answer = self.case.attempt(command.clone(), self.now);
        prop_assert_eq!(&answer, &twin, "the same arguments give the same answer");
        self.stale(&command, &before, &answer)?;
        self.standing()?;
        let Ok(made) = answer else {
            prop_assert_eq!(&self.case.state, &before);
            return Ok(());
        };
        self.rising(&command, &before, &made)?;
        self.transition(&command, &before)?;
        self.history(&command, &before, &made)?;
        self.replay(&command)
    }

    /// A token that is not that of the running attempt changes nothing.
    fn stale(&self, command: &Command, before: &State, answer: &Result<Step, Illegal>) -> Checked {
        let (Command::Extend { token, .. } | Command::Finish { token, .. }) = command else {
            return Ok(());
        };
        if before.lease.as_ref().is_some_and(|lease| lease.token == *token) {
            prop_assert!(answer.is_ok(), "the holder is heard");
            return Ok(());
        }
        let last = before.last.as_ref().filter(|last| last.token == *token);
        match answer {
            Ok(made) => {
                let Command::Finish { finish, .. } = command else {
                    return Err(TestCaseError::fail("a stale heartbeat was accepted"));
                };
                prop_assert_eq!(last.and_then(|l| l.call), Some(finish.fingerprint()));
                prop_assert!(!made.changed && made.closed.is_none());
                prop_assert_eq!(&made.state, before);
            }
            Err(why) => {
                let cancelled = last.is_some_and(|last| last.outcome == Outcome::Cancelled);
                let want = if cancelled { Illegal::Cancelled } else { Illegal::LeaseLost };
                prop_assert_eq!(*why, want);
            }
        }
        Ok(())
    }

    /// What holds at every moment.
    fn standing(&self) -> Checked {
        let (state, terms) = (&self.case.state, &self.case.terms);
        let ended = state.status.is_ended();
        prop_assert_eq!(state.ended_at.is_some(), ended);
        prop_assert_eq!(state.completed_at.is_some(), state.status == Status::Completed);
        prop_assert!(state.result.is_none() || state.status == Status::Completed);
        prop_assert_eq!(state.cancel_reason.is_some(), state.status == Status::Cancelled);
        prop_assert!(state.lease.is_none() || state.status == Status::InProgress);
        prop_assert!(!state.retrying || state.status == Status::Pending);
        prop_assert!(state.blocked_by == 0 || state.status != Status::InProgress);
        prop_assert!(state.uncounted <= state.attempt);
        prop_assert!(state.attempts_used() <= terms.max_attempts);
        if state.status == Status::Pending {
            prop_assert!(state.attempts_used() < terms.max_attempts, "a claim is still allowed");
        }
        if let Some(lease) = &state.lease {
            let start = state.started_at.expect("a lease has a start");
            let timeout = terms.timeout_seconds.map(|s| start.plus_seconds(f64::from(s)));
            prop_assert!(timeout.is_none_or(|end| lease.until <= end));
            prop_assert!(terms.deadline_at.is_none_or(|end| lease.until <= end));
        }
        Ok(())
    }

    /// Numbers never fall, and rise by one only for the reason they should.
    fn rising(&self, command: &Command, before: &State, made: &Step) -> Checked {
        let state = &made.state;
        let claimed = matches!(command, Command::Claim { .. });
        prop_assert_eq!(state.attempt, before.attempt + u32::from(claimed));
        let counted = made.changed && !matches!(command, Command::Extend { .. });
        prop_assert_eq!(state.version, before.version + u64::from(counted));
        prop_assert_eq!(state.updated_at, if counted { self.now } else { before.updated_at });
        prop_assert!(state.uncounted >= before.uncounted);
        if !made.changed {
            prop_assert_eq!(state, before);
        }
        if claimed {
            let due = before.run_at <= self.now && before.blocked_by == 0;
            prop_assert!(due && before.status == Status::Pending);
            prop_assert!(self.case.terms.expires_at.is_none_or(|end| self.now < end));
            prop_assert!(self.case.terms.deadline_at.is_none_or(|end| self.now < end));
        }
        if let (Some(old), Some(new)) = (&before.lease, &state.lease) {
            prop_assert!(old.token == new.token && old.until <= new.until);
        }
        Ok(())
    }

    /// Only rows of the table happen, each by the commands that it names.
    fn transition(&self, command: &Command, before: &State) -> Checked {
        let (from, to) = (before.status, self.case.state.status);
        if from == to {
            return Ok(());
        }
        let person = *command == Command::Move(to);
        if from.is_ended() {
            prop_assert!(person && to == Status::Pending, "left {:?} by {:?}", from, command);
            let state = &self.case.state;
            prop_assert_eq!((state.completed_at, state.ended_at), (None, None));
            prop_assert!(state.result.is_none() && state.error_message.is_none());
            prop_assert_eq!(state.attempts_used(), 0);
        }
        let fits = |act| match (act, command) {
            (Act::Claim, Command::Claim { .. }) => true,
            (Act::Start | Act::Retry, Command::Move(_)) => true,
            (Act::Complete, Command::Finish { finish, .. }) => {
                matches!(finish, Finish::Completed { .. })
            }
            (Act::Release, Command::Finish { finish, .. }) => {
                !matches!(finish, Finish::Completed { .. } | Finish::Failed { .. })
            }
            (Act::Release, Command::Withdraw(_)) => true,
            (Act::Rescue | Act::Fail, Command::Finish { finish, .. }) => {
                matches!(finish, Finish::Failed { .. })
            }
            (Act::Rescue | Act::Fail | Act::Cancel, Command::Expire) => true,
            (Act::Cancel, Command::ParentLost(_)) => true,
            (Act::Complete | Act::Fail | Act::Cancel | Act::Release, Command::Move(_)) => true,
            _ => false,
        };
        let in_table = TRANSITIONS.iter().any(|&(f, act, t)| f == from && t == to && fits(act));
        prop_assert!(in_table, "{:?} to {:?} by {:?}", from, to, command);
        Ok(())
    }

    /// Every attempt gets exactly one end in the history, at the latest before the next one.
    fn history(&mut self, command: &Command, before: &State, made: &Step) -> Checked {
        if let Some(closed) = &made.closed {
            prop_assert_eq!(closed.attempt, before.attempt);
            prop_assert!(
                self.closed.insert(closed.attempt),
                "attempt {} closed twice",
                closed.attempt
            );
            prop_assert!(closed.started_at <= closed.ended_at);
        }
        if matches!(command, Command::Claim { .. }) {
            let earlier: BTreeSet<u32> = (1..made.state.attempt).collect();
            prop_assert_eq!(&self.closed, &earlier, "each earlier attempt has its end");
        }
        let row_is_the_entry = made.state.completed_by_attempt();
        if before.lease.is_some() && made.state.lease.is_none() {
            prop_assert!(made.closed.is_some() != row_is_the_entry);
        }
        Ok(())
    }

    /// A finish that was accepted: the same call again is answered alike, any other one refused.
    fn replay(&self, command: &Command) -> Checked {
        let Command::Finish { token, finish } = command else { return Ok(()) };
        let mut again = self.case.clone();
        let later = self.now.plus_seconds(1000.0);
        let made = again.attempt(command.clone(), later);
        prop_assert!(made.is_ok_and(|made| !made.changed && made.closed.is_none()));
        prop_assert_eq!(&again.state, &self.case.state);
        let other = match finish {
            Finish::Released => Finish::Interrupted,
            _ => Finish::Released,
        };
        let refused = again.attempt(Command::Finish { token: *token, finish: other }, self.now);
        prop_assert_eq!(refused, Err(Illegal::LeaseLost));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_sequence_of_commands_breaks_the_law(mut world in worlds(), acts in acts()) {
        for act in acts {
            world.go(act)?;
        }
    }

    /// Whatever happened before, a task that is claimed and lost again and again comes to an end.
    #[test]
    fn a_task_that_is_only_ever_lost_ends(mut world in worlds(), acts in acts()) {
        for act in acts {
            world.go(act)?;
        }
        if world.case.state.lease.is_none() && world.case.state.status == Status::InProgress {
            return Ok(()); // A person has it; nobody takes it from a person.
        }
        world.case.state.blocked_by = 0;
        for _ in 0..=world.case.terms.max_attempts {
            world.now = world.now.max(world.case.state.run_at);
            world.go(Event::Expire)?;
            world.go(Event::Claim(None))?;
            let until = world.case.state.lease.as_ref().map(|lease| lease.until);
            world.now = until.unwrap_or(world.now).max(world.now);
            world.go(Event::Expire)?;
        }
        prop_assert!(world.case.state.status.is_ended(), "{:?}", world.case.state);
    }
}
