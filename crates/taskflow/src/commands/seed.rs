//! `taskflow seed`: fills in sample tasks, once. They carry the tag `sample`; where one stands
//! already, nothing is added.

use taskflow_core::task::{OnConflict, UniqueKey};
use taskflow_core::{Json, Kind, NewTask, Priority, Status, TaskPatch, Timestamp};
use taskflow_service::words::{Filter, Page};
use taskflow_service::{Actor, Services};

use super::say;
use crate::config::Config;
use crate::wire;

/// What tells the samples apart.
const TAG: &str = "sample";

/// How far back it looks for samples, in pages of 1,000: a database with more tasks is no playground.
const PAGES: u32 = 1000;

/// The eight tasks of the earlier service's kind: title, description, priority.
const EIGHT: [(&str, &str, Priority); 8] = [
    ("Send welcome email", "Greet the user who signed up today", Priority::High),
    ("Generate monthly report", "Sales by region, as a PDF", Priority::Medium),
    ("Back up the database", "Nightly copy to the second site", Priority::Urgent),
    ("Resize uploaded images", "Thumbnails for the product gallery", Priority::Low),
    ("Synchronise customer data", "From the shop to the CRM", Priority::Medium),
    ("Clean up temporary files", "Everything older than a week", Priority::Low),
    ("Charge subscription fees", "Cards that are due this month", Priority::High),
    ("Refresh the search index", "Products changed since yesterday", Priority::Medium),
];

/// Adds the samples unless they are there.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let services = wire::services(&config, wire::open(&config).await?);
    if is_seeded(&services).await? {
        return Ok(say("the sample tasks are there already; nothing was added")?);
    }
    let now = services.clock.now();
    if !first(&services, now).await? {
        return Ok(say("the sample tasks are being added already; nothing was added")?);
    }
    let samples: Vec<NewTask> = EIGHT
        .iter()
        .map(|(title, description, priority)| NewTask {
            description: Some((*description).to_owned()),
            priority: *priority,
            tags: vec![TAG.into()],
            ..NewTask::titled(title, now)
        })
        .chain(lively(now)?)
        .collect();
    let count = samples.len() + 1;
    for sample in samples {
        let kind = sample.kind.clone();
        let task = services.tasks.create(Actor::DEFAULT, sample).await?.task;
        if kind.as_str() == Kind::MANUAL && task.title.starts_with("Call") {
            // Somebody is at it already.
            let patch = TaskPatch { status: Some(Status::InProgress), ..TaskPatch::default() };
            services.tasks.edit(Actor::DEFAULT, task.id, None, patch).await?;
        }
    }
    Ok(say(format_args!("{count} sample tasks were added"))?)
}

/// Adds the first sample under a unique key: of two that run at once one goes on.
async fn first(services: &Services, now: Timestamp) -> anyhow::Result<bool> {
    let task = NewTask {
        kind: Kind::parse(Kind::MANUAL)?,
        payload: Some(Json::parse(r#"{"invoice": 4711}"#)?),
        priority: Priority::Urgent,
        tags: vec![TAG.into(), Kind::MANUAL.into()],
        unique: Some(UniqueKey { key: "sample".into(), on_conflict: OnConflict::Return }),
        ..NewTask::titled("Approve the invoice", now)
    };
    Ok(services.tasks.create(Actor::DEFAULT, task).await?.new)
}

async fn is_seeded(services: &Services) -> anyhow::Result<bool> {
    for page in 0..PAGES {
        let (filter, now) = (Filter::default(), services.clock.now());
        let page = Page { filter, before: None, skip: page * 1000, limit: 1000, now };
        let tasks = services.tasks.list(Actor::DEFAULT, page).await?;
        if tasks.items.iter().any(|task| task.tags.iter().any(|tag| tag == TAG)) {
            return Ok(true);
        }
        if tasks.rest.is_none() {
            return Ok(false);
        }
    }
    anyhow::bail!("the database holds too many tasks to be a playground; nothing was added")
}

/// A livelier set: kinds, priorities, failures, delays.
fn lively(now: Timestamp) -> anyhow::Result<Vec<NewTask>> {
    let mut tasks = Vec::new();
    let mut add = |title: &str, kind: &str, payload: &str, change: &dyn Fn(&mut NewTask)| {
        let mut task = NewTask::titled(title, now);
        task.kind = Kind::parse(kind)?;
        task.payload = Some(Json::parse(payload)?);
        task.tags = vec![TAG.into(), kind.into()];
        change(&mut task);
        tasks.push(task);
        anyhow::Ok(())
    };
    for (i, priority) in Priority::ALL.into_iter().cycle().take(8).enumerate() {
        let payload = format!(r#"{{"seconds": {}}}"#, 2 * i + 1);
        add(&format!("Encode video {}", i + 1), "sleep", &payload, &|task| {
            task.priority = priority;
            task.queue = taskflow_core::QueueName::parse("media").unwrap_or_default();
        })?;
    }
    add("Import a broken file", "sleep", r#"{"seconds": 1, "fail": true}"#, &|task| {
        task.terms.max_attempts = 3;
    })?;
    add("Call a service that is down", "sleep", r#"{"seconds": 0, "fail": true}"#, &|task| {
        task.terms.max_attempts = 1;
        task.priority = Priority::High;
    })?;
    add("Takes longer than it may", "sleep", r#"{"seconds": 60}"#, &|task| {
        task.terms.timeout_seconds = Some(5);
        task.terms.max_attempts = 2;
    })?;
    for (minutes, title) in
        [(1.0, "Remind in a minute"), (60.0, "Remind in an hour"), (1440.0, "Remind tomorrow")]
    {
        add(title, "log", "{}", &|task| task.run_at = now.plus_seconds(minutes * 60.0))?;
    }
    add("Call the customer back", "manual", r#"{"phone": "555-0100"}"#, &|_| {})?;
    add("Waits for your own worker", "example.greet", r#"{"name": "Ada"}"#, &|_| {})?;
    Ok(tasks)
}
