//! Every question is asked once at a time, whoever waits for the answer, and nobody waits long who could use
//! an older one.
//!
//! Asking begins with the call of [`Asking::ask`], not when its future is first polled, and goes on when
//! nobody waits any more: so a look-up puts all its questions at once, and the next one finds the answer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::client::{Client, Question};
use super::memory::{Answer, Memory, Recalled};

/// An answer, or why there is none.
pub(super) type Outcome = Result<Answer, String>;

/// The one place where questions are asked from.
pub(super) struct Asking {
    client: Client,
    state: Mutex<State>,
}

struct State {
    memory: Memory<Question>,
    asked: HashMap<Question, Pending>,
}

type Pending = watch::Receiver<Option<Outcome>>;

/// What [`Asking::ask`] has for whoever asked.
enum Asked {
    Known(Outcome),
    Pending { pending: Pending, older: Option<Answer> },
}

impl Asking {
    pub(super) fn new(servers: &[SocketAddr]) -> io::Result<Self> {
        let state = State { memory: Memory::default(), asked: HashMap::new() };
        Ok(Self { client: Client::new(servers)?, state: Mutex::new(state) })
    }

    pub(super) fn in_hosts_file(&self, name: &str) -> Vec<IpAddr> {
        self.client.in_hosts_file(name)
    }

    /// Asks unless the answer is known or on its way; the future waits for it.
    pub(super) fn ask(self: &Arc<Self>, question: Question) -> impl Future<Output = Outcome> + use<> {
        let asked = self.begin(question);
        async {
            match asked {
                Asked::Known(outcome) => outcome,
                Asked::Pending { pending, older: None } => outcome(pending).await,
                Asked::Pending { pending, older: Some(older) } => {
                    match timeout(PATIENCE, outcome(pending)).await {
                        Ok(Ok(answer)) => Ok(answer),
                        Ok(Err(_)) | Err(_) => Ok(older),
                    }
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, question: Question) -> Asked {
        let mut state = self.state();
        let older = match state.memory.recall(&question, Instant::now().into_std()) {
            Recalled::Answer(answer) => return Asked::Known(Ok(answer)),
            Recalled::Failed(reason) => return Asked::Known(Err(reason)),
            Recalled::Ask(older) => older,
        };
        if let Some(pending) = state.asked.get(&question) {
            return Asked::Pending { pending: pending.clone(), older };
        }
        if state.asked.len() >= MOST_ASKED {
            return Asked::Known(older.ok_or_else(|| TOO_MANY.to_owned()));
        }
        let (done, pending) = watch::channel(None);
        state.asked.insert(question.clone(), pending.clone());
        tokio::spawn(Arc::clone(self).finish(question, done));
        Asked::Pending { pending, older }
    }

    async fn finish(self: Arc<Self>, question: Question, done: watch::Sender<Option<Outcome>>) {
        let asked = timeout(LIMIT, self.client.ask(&question)).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("no answer in {} s", LIMIT.as_secs())));
        let now = Instant::now().into_std();
        let mut state = self.state();
        state.asked.remove(&question);
        let outcome = match asked {
            Ok((answer, ttl)) => {
                state.memory.learn(question, Arc::clone(&answer), ttl, now);
                Ok(answer)
            }
            Err(reason) => {
                tracing::debug!(name = question.name, kind = ?question.kind, reason, "name servers did not \
                    answer");
                state.memory.fail(question, reason.clone(), now);
                Err(reason)
            }
        };
        drop(state);
        done.send_replace(Some(outcome));
    }

    /// Holds for a few instructions only; nothing in between can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn outcome(mut pending: Pending) -> Outcome {
    let done = pending.wait_for(Option::is_some).await;
    done.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(STOPPED.to_owned()))
}

/// How long the servers may take in all.
const LIMIT: Duration = Duration::from_secs(4);

/// How long one waits who has an older answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Questions on their way at once.
const MOST_ASKED: usize = 256;

const TOO_MANY: &str = "too many names are being looked up";
const STOPPED: &str = "the look-up was given up";
