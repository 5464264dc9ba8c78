//! One running command: its process group, its pipes and its end. The group dies with the attempt,
//! however that ends. It judges neither exit codes nor output.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use taskflow_core::limits::PAYLOAD_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::CommandSpec;
use crate::worker::handler::Job;

/// From SIGTERM to SIGKILL.
const TERM_FOR: Duration = Duration::from_secs(2);
/// How long the pipes are read on after the program ended. All that it wrote is in them already; only
/// a child that left the process group can keep them open.
const DRAIN_FOR: Duration = Duration::from_secs(1);
/// How much of the end of stderr is kept, in bytes: where programs say why they failed.
const STDERR_BYTES_MAX: usize = 4 * 1024;

/// How a command ended.
pub(super) enum Ended {
    /// It printed more than a result may hold, and was killed.
    TooMuchOutput,
    /// By itself or by a signal.
    Exited {
        /// Exit code or signal.
        status: ExitStatus,
        /// All of its output.
        stdout: Vec<u8>,
        /// The end of its error output.
        stderr: Vec<u8>,
    },
}

/// A started command. Dropping it kills the whole process group.
pub(super) struct Run {
    child: Child,
    group: Group,
}

impl Run {
    /// Starts the program in a process group of its own.
    pub(super) fn start(
        spec: &CommandSpec,
        inherited: &BTreeMap<OsString, OsString>,
        job: &Job,
    ) -> io::Result<Self> {
        let (program, arguments) = spec.argv.split_first().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "its configuration names no program")
        })?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(&spec.env)
            .env("TASKFLOW_TASK_ID", job.id.to_string())
            .env("TASKFLOW_ATTEMPT", job.attempt.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &spec.cwd {
            command.current_dir(folder);
        }
        let child = command.spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        Ok(Self { child, group })
    }

    /// Feeds it, reads what it prints and waits for its end. What it started and left behind is
    /// killed then: work must not go on once its lease is given up.
    pub(super) async fn finish(&mut self, input: &str) -> io::Result<Ended> {
        let Self { child, group } = self;
        let feed = feed(child.stdin.take(), input);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let talk = async {
            tokio::try_join!(feed, read_all(out, &mut stdout), read_tail(err, &mut stderr))
        };
        let status = {
            let mut talk = pin!(talk);
            let (status, talked) = tokio::select! {
                talked = &mut talk => match talked {
                    Ok(_) => (child.wait().await?, Ok(())),
                    Err(too_much) => (group.reap(child).await?, Err(too_much)),
                },
                status = child.wait() => {
                    let status = status?;
                    group.kill();
                    // Running out of time here means that somebody else holds the pipe.
                    let talked = timeout(DRAIN_FOR, talk).await.unwrap_or(Ok(((), (), ())));
                    (status, talked.map(|_| ()))
                }
            };
            group.kill();
            group.forget();
            match talked {
                Ok(()) => status,
                Err(TooMuch) => return Ok(Ended::TooMuchOutput),
            }
        };
        Ok(Ended::Exited { status, stdout, stderr })
    }

    /// Asks the group to end and kills what is left of it a moment later.
    pub(super) async fn stop(&mut self) {
        self.group.signal(Signal::TERM);
        let ended = timeout(TERM_FOR, self.child.wait()).await;
        self.group.kill();
        if ended.is_err() {
            // It cannot resist SIGKILL; waiting here leaves no zombie.
            if let Err(why) = self.child.wait().await {
                tracing::warn!(%why, "a killed command cannot be reaped");
            }
        }
        self.group.forget();
    }
}

/// The process group of a command, killed on drop unless it is known to be gone.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        let Some(id) = self.0 else { return };
        match kill_process_group(id, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            // macOS says so of a group of zombies.
            Err(rustix::io::Errno::PERM) => {}
            Err(why) => tracing::warn!(%why, "a command's process group cannot be signalled"),
        }
    }

    /// Between the reaping of the leader and this call no await lies, so the id cannot have come
    /// round to another group; while members live, the kernel does not hand it out again.
    fn kill(&self) {
        self.signal(Signal::KILL);
    }

    async fn reap(&self, child: &mut Child) -> io::Result<ExitStatus> {
        self.kill();
        child.wait().await
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program printed too much.
struct TooMuch;

/// Writes the input and closes. A program need not read it, so a closed pipe is no fault.
async fn feed(pipe: Option<impl AsyncWrite + Unpin>, input: &str) -> Result<(), TooMuch> {
    if let Some(mut pipe) = pipe
        && let Err(why) = pipe.write_all(input.as_bytes()).await
    {
        tracing::debug!(%why, "a command did not read its input");
    }
    Ok(())
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), TooMuch> {
    each_chunk(pipe, |chunk| {
        kept.extend_from_slice(chunk);
        if kept.len() > PAYLOAD_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    })
    .await
}

async fn read_tail(
    pipe: Option<impl AsyncRead + Unpin>,
    kept: &mut Vec<u8>,
) -> Result<(), TooMuch> {
    each_chunk(pipe, |chunk| {
        kept.extend_from_slice(chunk);
        let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..surplus);
        Ok(())
    })
    .await
}

async fn each_chunk(
    pipe: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]) -> Result<(), TooMuch>,
) -> Result<(), TooMuch> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 8 * 1024];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(n) => take(&buffer[..n])?,
        }
    }
}
