//! What commands hold in a store's queue, and tasks in an answer, about: batches and pages are bounded by
//! it. It is no limit itself.

use taskflow_core::{Finish, Json, NewTask, Task};

use crate::{Deed, Edit, Extend, FinishTask, Sync};

/// A task's own size in a queue of commands, beside its payload.
pub const TASK_BYTES: usize = 512;

fn length(json: Option<&Json>) -> usize {
    json.map_or(0, Json::len)
}

/// What a new task holds in the queue of commands, in bytes.
pub fn of_new(task: &NewTask) -> usize {
    let texts = task.title.len() + task.description.as_ref().map_or(0, String::len);
    let tags: usize = task.tags.iter().map(String::len).sum();
    TASK_BYTES + texts + tags + length(task.payload.as_ref()) + length(task.metadata.as_ref())
}

/// What the texts of a task hold in an answer that shows it, in bytes.
pub fn of_shown(task: &Task) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let state = &task.state;
    let documents = [&task.payload, &task.metadata, &state.result, &state.checkpoint];
    documents.into_iter().map(|json| length(json.as_ref())).sum::<usize>()
        + text(&task.description)
        + text(&state.error_message)
}

/// What an edit holds there, in bytes.
pub fn of_edit(edit: &Edit) -> usize {
    let json = |field: &Option<Option<Json>>| length(field.as_ref().and_then(Option::as_ref));
    let patch = &edit.patch;
    let description = patch.description.as_ref().and_then(Option::as_ref).map_or(0, String::len);
    TASK_BYTES + description + json(&patch.payload) + json(&patch.metadata)
}

/// What a worker's report holds there, in bytes.
pub fn of_sync(sync: &Sync) -> usize {
    let finish = |item: &FinishTask| match &item.finish {
        Finish::Completed { result } => length(result.as_ref()),
        Finish::Failed { error, .. } => error.len(),
        _ => 0,
    };
    let extend = |item: &Extend| length(item.checkpoint.as_ref());
    let items = sync.finish.len() + sync.extend.len();
    TASK_BYTES * (1 + items)
        + sync.finish.iter().map(finish).sum::<usize>()
        + sync.extend.iter().map(extend).sum::<usize>()
}

/// What an act that is done once for its key holds there, in bytes.
pub fn of_deed(deed: &Deed) -> usize {
    match deed {
        Deed::Insert(batch) | Deed::InsertAll(batch) => batch.iter().map(of_new).sum(),
        Deed::Edit(batch) => batch.iter().map(of_edit).sum(),
        Deed::Delete(_) | Deed::Note => TASK_BYTES,
        Deed::Sync(sync) => of_sync(sync),
    }
}
