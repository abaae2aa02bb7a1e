//! The demonstration: calls in both directions through a bridge, all up at once, each
//! judged by what was heard.
//!
//! The bridge is started by the caller between the binding of the far ends and the first call, so nothing
//! here knows it but its two addresses. A call is good when it was set up, when each end heard the other's
//! tone and nothing else until it was hung up, and when BYE was answered on both legs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::sim::call::{Call, Ended, Failure};
use crate::sim::digest::Credentials;
use crate::sim::endpoint::Endpoint;
use crate::sim::log::{Log, Side};
use crate::sim::media::Media;
use crate::sim::report::{Outcome, Report};
use crate::sim::stream::Recording;
use crate::sim::uac::Dial;
use crate::sim::verdict::judge;
use crate::sim::wire::Path;
use crate::sim::{carrier, retell};

/// The far ends, bound and waiting.
pub struct FarEnds {
    runtime: tokio::runtime::Runtime,
    carrier: Endpoint,
    retell: Endpoint,
    media: Media,
    log: Log,
    credentials: Credentials,
}

/// The bridge, as far as the far ends need to know it.
#[derive(Clone, Copy, Debug)]
pub struct Bridge {
    /// Where the carrier sends its calls.
    pub udp: SocketAddr,
    /// Where Retell sends its calls.
    pub tcp: SocketAddr,
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The carrier calls Retell.
    ToRetell,
    /// Retell calls the carrier.
    ToTrunk,
}

impl FarEnds {
    /// Binds the carrier to [`CARRIER`] and the Retell endpoint to [`RETELL`], on free ports.
    ///
    /// # Errors
    ///
    /// The operating system's, when it has no socket, thread or randomness to give.
    pub fn bind() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (media, log) = (Media::start()?, Log::default());
        let password = crate::clock::seed().map_err(io::Error::other)?;
        let password = password.iter().map(|byte| format!("{byte:02x}")).collect();
        let credentials = Credentials { username: "retell-outbound".into(), password };
        let retell_config =
            retell::Config { credentials: Some(credentials.clone()), ..retell::Config::new(RETELL) };
        let (carrier, retell) = runtime.block_on(async {
            let carrier = carrier::start(carrier::Config::new(CARRIER), media.clone(), log.clone()).await?;
            let retell = retell::start(retell_config, media.clone(), log.clone()).await?;
            io::Result::Ok((carrier, retell))
        })?;
        Ok(Self { runtime, carrier, retell, media, log, credentials })
    }

    /// Where calls to the trunk go, by UDP or TCP.
    #[must_use]
    pub fn carrier_address(&self) -> SocketAddr {
        self.carrier.address()
    }

    /// Where calls to Retell go, by UDP or TCP.
    #[must_use]
    pub fn retell_address(&self) -> SocketAddr {
        self.retell.address()
    }

    /// What the Retell endpoint presents when it is challenged.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes `calls` calls through `bridge`, every second one from Retell; `done` is
    /// told of each that is over.
    #[must_use]
    pub fn run(&self, calls: usize, bridge: Bridge, done: impl Fn()) -> Report {
        let results = self.runtime.block_on(self.make_calls(calls, bridge, &done));
        let outcomes = results.into_iter().map(CallResult::judged).collect();
        Report::new(outcomes, &self.log, self.media.lateness_us())
    }

    /// Keeps the far ends answering while `work` runs on another thread, such as the bridge's last BYEs.
    pub fn attend(&self, work: impl FnOnce() + Send + 'static) {
        // A panic of the work has printed itself; the report is worth showing all the same.
        let _ = self.runtime.block_on(self.runtime.spawn_blocking(work));
    }

    async fn make_calls(&self, calls: usize, bridge: Bridge, done: &impl Fn()) -> Vec<CallResult> {
        let all_up = Instant::now() + STAGGER * u32::try_from(calls).unwrap_or(u32::MAX);
        let mut tasks = JoinSet::new();
        for number in 0..calls {
            tasks.spawn(self.script(number, bridge, all_up).play());
            sleep(STAGGER).await;
        }
        let mut results = Vec::new();
        while let Some(result) = tasks.join_next().await {
            done();
            results.extend(result);
        }
        results.sort_by_key(|result| result.script.index);
        results
    }

    fn script(&self, index: usize, bridge: Bridge, all_up: Instant) -> Script {
        let direction = if index.is_multiple_of(2) { Direction::ToRetell } else { Direction::ToTrunk };
        let (caller, callee, via) = match direction {
            Direction::ToRetell => (&self.carrier, &self.retell, Path::Udp(bridge.udp)),
            Direction::ToTrunk => (&self.retell, &self.carrier, Path::Tcp(bridge.tcp)),
        };
        Script {
            index,
            direction,
            caller: caller.clone(),
            callee: callee.clone(),
            via,
            media: self.media.clone(),
            number: format!("+1415{:07}", 5_551_000 + index % 1_000_000),
            caller_hangs_up: (index / 2).is_multiple_of(2),
            all_up,
        }
    }
}

/// What one call will do.
struct Script {
    index: usize,
    direction: Direction,
    caller: Endpoint,
    callee: Endpoint,
    via: Path,
    media: Media,
    number: String,
    caller_hangs_up: bool,
    all_up: Instant,
}

/// What became of it, not yet judged.
struct CallResult {
    script: Script,
    /// The caller's end and the callee's, each with what it heard.
    ends: Option<[(Call, Recording); 2]>,
    faults: Vec<String>,
}

impl Script {
    async fn play(self) -> CallResult {
        let (caller, callee) = match self.set_up().await {
            Ok(ends) => ends,
            Err(fault) => return CallResult { script: self, ends: None, faults: vec![fault] },
        };
        sleep_until(self.all_up.max(Instant::now()) + AUDIO).await;
        let heard = [self.media.recording(caller.stream).await, self.media.recording(callee.stream).await];
        let (caller, callee, faults) = self.tear_down(caller, callee).await;
        let [at_caller, at_callee] = heard;
        CallResult { script: self, ends: Some([(caller, at_caller), (callee, at_callee)]), faults }
    }

    async fn set_up(&self) -> Result<(Call, Call), String> {
        let expected = self.callee.expect(&self.number);
        let caller_number = match self.direction {
            Direction::ToRetell => CUSTOMER,
            Direction::ToTrunk => OWN_NUMBER,
        };
        let dial = Dial {
            via: self.via,
            called: self.number.clone(),
            caller: caller_number.to_owned(),
            headers: vec![("X-Demo-Call".to_owned(), self.index.to_string())],
            patience: PATIENCE,
        };
        let (caller_name, callee_name) = self.names();
        let at = |name: &str, failure: Failure| format!("at the {name} end: {failure}");
        let caller = self.caller.dial(dial).answer().await.map_err(|failure| at(caller_name, failure))?;
        let callee = expected.call(PATIENCE).await.map_err(|failure| at(callee_name, failure))?;
        Ok((caller, callee))
    }

    async fn tear_down(&self, mut caller: Call, mut callee: Call) -> (Call, Call, Vec<String>) {
        let (caller_name, callee_name) = self.names();
        let mut faults = Vec::new();
        let (first, second, first_name, second_name) = if self.caller_hangs_up {
            (&mut caller, &mut callee, caller_name, callee_name)
        } else {
            (&mut callee, &mut caller, callee_name, caller_name)
        };
        for (call, name) in [(&*first, first_name), (&*second, second_name)] {
            if let Some(why) = call.has_ended() {
                faults.push(format!(
                    "the call was over at the {name} end before it was hung up{}",
                    because(why)
                ));
            }
        }
        if faults.is_empty() {
            if let Err(failure) = first.hang_up().await {
                faults.push(format!("hanging up at the {first_name} end: {failure}"));
            }
            match timeout(BYE_TRAVELS, second.ended()).await {
                Ok(Ended::There) => {}
                Ok(why) => {
                    faults.push(format!("the {second_name} end was not hung up by BYE{}", because(why)))
                }
                Err(_) => faults.push(format!(
                    "the BYE of the {first_name} end did not reach the {second_name} end within {} s",
                    BYE_TRAVELS.as_secs()
                )),
            }
        }
        (caller, callee, faults)
    }

    fn names(&self) -> (&'static str, &'static str) {
        match self.direction {
            Direction::ToRetell => (Side::Carrier.name(), Side::Retell.name()),
            Direction::ToTrunk => (Side::Retell.name(), Side::Carrier.name()),
        }
    }
}

impl CallResult {
    fn judged(self) -> Outcome {
        let Script { index, direction, number, .. } = self.script;
        let mut outcome = Outcome::new(index + 1, direction, number);
        outcome.faults = self.faults;
        let Some([caller, callee]) = self.ends else { return outcome };
        outcome.setup_ms = Some(milliseconds(caller.0.invited_ns, caller.0.answered_ns));
        outcome.ringing_ms = Some(milliseconds(callee.0.invited_ns, callee.0.answered_ns));
        let (at_carrier, at_retell) = match direction {
            Direction::ToRetell => (caller, callee),
            Direction::ToTrunk => (callee, caller),
        };
        let retell_heard = judge(&at_retell.1, &carrier::TONE, at_carrier.0.stream);
        let carrier_heard = judge(&at_carrier.1, &retell::TONE, at_retell.0.stream);
        for (name, verdict) in [(Side::Retell.name(), &retell_heard), (Side::Carrier.name(), &carrier_heard)]
        {
            outcome.faults.extend(verdict.faults.iter().map(|fault| format!("the {name} end {fault}")));
        }
        outcome.at_retell = Some((at_retell.1, retell_heard));
        outcome.at_carrier = Some((at_carrier.1, carrier_heard));
        outcome
    }
}

fn because(why: Ended) -> &'static str {
    match why {
        Ended::Here | Ended::There => "",
        Ended::Silence => " (it heard no RTP for too long)",
        Ended::NoAck => " (its 200 was never acknowledged)",
    }
}

fn milliseconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

/// The carrier's address.
pub const CARRIER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));
/// The Retell endpoint's address.
pub const RETELL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3));
/// Between the starts of two calls, so that set-up times are not those of one burst.
const STAGGER: Duration = Duration::from_millis(5);
/// How long every call carries audio after the last one was placed.
const AUDIO: Duration = Duration::from_millis(3_000);
const PATIENCE: Duration = Duration::from_secs(15);
const BYE_TRAVELS: Duration = Duration::from_secs(5);
const CUSTOMER: &str = "+14155550123";
const OWN_NUMBER: &str = "+14155550100";
