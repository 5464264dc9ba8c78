//! Who waits for a task to end, and how they hear of it. What happens on another node, or by a parent's
//! end, is not told here: whoever waits looks by itself too.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taskflow_core::TaskId;
use taskflow_core::limits::WAITERS_MAX;
use tokio::sync::watch;

/// How long until the first look that nobody asked for, and the longest time between two: what nobody
/// told is seen within a second, and ten thousand who wait cost ten thousand short reads a second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Everyone who waits for an end.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    places: usize,
    tasks: HashMap<TaskId, watch::Sender<()>>,
}

impl Ends {
    /// A place to wait for `id`; none when `limits::WAITERS_MAX` wait already. Take it before the first
    /// look, so that an end in between is not missed.
    pub(crate) fn park(self: &Arc<Self>, id: TaskId) -> Option<Place> {
        let mut waiting = self.waiting.lock();
        if waiting.places >= WAITERS_MAX {
            return None;
        }
        waiting.places += 1;
        let heard = waiting.tasks.entry(id).or_insert_with(|| watch::channel(()).0).subscribe();
        Some(Place { ends: Arc::clone(self), id, heard: Some(heard), look: LOOKS.0 })
    }

    /// Tells that these tasks have ended or are gone.
    pub(crate) fn tell(&self, ids: impl Iterator<Item = TaskId>) {
        let waiting = self.waiting.lock();
        if waiting.places > 0 {
            for told in ids.filter_map(|id| waiting.tasks.get(&id)) {
                told.send_replace(());
            }
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let waiting = self.waiting.lock();
        (waiting.places, waiting.tasks.len())
    }
}

/// One who waits.
#[derive(Debug)]
pub(crate) struct Place {
    ends: Arc<Ends>,
    id: TaskId,
    heard: Option<watch::Receiver<()>>,
    look: Duration,
}

impl Place {
    /// Resolves when it is time to look: the end was told, or it is time for a look of its own.
    pub(crate) async fn due(&mut self) {
        let Some(heard) = &mut self.heard else { return };
        // Whether it was told or time went by makes no difference to who looks.
        if tokio::time::timeout(self.look, heard.changed()).await.is_err() {
            self.look = (self.look * 2).min(LOOKS.1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.ends.waiting.lock();
        waiting.places -= 1;
        self.heard = None;
        if waiting.tasks.get(&self.id).is_some_and(|told| told.receiver_count() == 0) {
            waiting.tasks.remove(&self.id);
        }
    }
}
