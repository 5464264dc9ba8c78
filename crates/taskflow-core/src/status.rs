//! The five words of a task's status and the table of its legal transitions. Read this first.
//! What a transition does to the other fields is in `step.rs`.

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Waits: ready, scheduled, retrying or blocked (see [`PendingReason`]).
    Pending,
    /// A worker holds its lease, or a person works on it.
    InProgress,
    /// Done.
    Completed,
    /// Given up: the dead letter.
    Failed,
    /// Called off.
    Cancelled,
}

/// What moves a task from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// A worker takes it.
    Claim,
    /// A person takes it: no lease, never rescued.
    Start,
    /// Its work is done.
    Complete,
    /// An attempt failed, timed out or lost its lease, and attempts are left.
    Rescue,
    /// It failed for good, or its attempts or its deadline are used up.
    Fail,
    /// Called off, not started before `expires_at`, or a task it waits for did not complete.
    Cancel,
    /// Given back by its holder, or snoozed, or moved back by a person.
    Release,
    /// An ended task is run once more: an explicit act.
    Retry,
}

/// The whole state machine: (from, act, to). `docs/state-machine.md` is printed from it.
pub const TRANSITIONS: [(Status, Act, Status); 13] = {
    use Act as A;
    use Status as S;
    [
        (S::Pending, A::Claim, S::InProgress),
        (S::Pending, A::Start, S::InProgress),
        (S::Pending, A::Complete, S::Completed),
        (S::Pending, A::Fail, S::Failed),
        (S::Pending, A::Cancel, S::Cancelled),
        (S::InProgress, A::Complete, S::Completed),
        (S::InProgress, A::Rescue, S::Pending),
        (S::InProgress, A::Fail, S::Failed),
        (S::InProgress, A::Cancel, S::Cancelled),
        (S::InProgress, A::Release, S::Pending),
        (S::Completed, A::Retry, S::Pending),
        (S::Failed, A::Retry, S::Pending),
        (S::Cancelled, A::Retry, S::Pending),
    ]
};

impl Status {
    /// Every status, in the order of their stored numbers.
    pub const ALL: [Status; 5] =
        [Self::Pending, Self::InProgress, Self::Completed, Self::Failed, Self::Cancelled];

    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number that stores keep; never renumbered.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// From a stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// From the public word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Completed, failed or cancelled: nothing but an explicit retry moves it on.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The statuses that a person may set from here, in the order of [`Status::ALL`].
    pub fn allowed(self) -> Vec<Status> {
        Self::ALL
            .into_iter()
            .filter(|&to| TRANSITIONS.iter().any(|&(from, _, t)| from == self && t == to))
            .collect()
    }
}

/// Why a pending task is not running. Derived, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PendingReason {
    /// Nothing but a free worker is missing.
    Ready,
    /// Its `run_at` lies in the future.
    Scheduled,
    /// It failed and waits for its back-off.
    Retrying,
    /// It waits for other tasks.
    Blocked,
}

impl PendingReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Scheduled, Self::Retrying, Self::Blocked];

    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Blocked => "blocked",
        }
    }

    /// Reads the public word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// What is worked on first within a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// After everything else.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Before medium.
    High,
    /// Before everything else.
    Urgent,
}

impl Priority {
    /// Every priority, in the order of their stored numbers.
    pub const ALL: [Priority; 4] = [Self::Low, Self::Medium, Self::High, Self::Urgent];

    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The number that stores keep; never renumbered.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// From a stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// From the public word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }
}
