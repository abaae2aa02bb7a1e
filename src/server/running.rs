//! Putting the parts together, for `serve` and for whoever runs a bridge inside a process (the demo, tests).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::mpsc;

use crate::api::{Api, Shared};
use crate::call::Settings;
use crate::clock;
use crate::config::Config;
use crate::id::Ids;
use crate::media::Engine;
use crate::net;
use crate::routing::Routes;
use crate::routing::config::InterfaceConfig;
use crate::sip::flow::Transport;
use crate::sip::nat::is_out_of_reach;
use crate::store::Records;
use crate::transport::Transports;
use crate::transport::resolve::Resolver;
use crate::transport::tls::{Tls, TlsError};

use super::bans::{self, BanPolicy};
use super::bridge::{Bridge, Parts};
use super::certificate::Certificate;
use super::counters;
use super::lifecycle::RunError;
use super::live::Live;
use super::memory::Memory;
use super::signalling::{Control, MediaEvents, Queues, Server, Source};

/// A bridge that is ready to run.
pub(super) struct Assembled {
    pub(super) server: Server,
    pub(super) queues: Queues,
    pub(super) control: mpsc::Sender<Control>,
    pub(super) api: Api,
}

/// Opens every listener and file that `config` names.
pub(super) async fn assemble(config: Config, source: Option<Source>) -> Result<Assembled, RunError> {
    let system = |error: &dyn std::fmt::Display| RunError::System(error.to_string());
    let metrics = counters::metrics();
    let seed = clock::seed().map_err(|error| system(&error))?;
    let ids = Ids::new(seed, INSTANCE);
    let routes = Routes::compile(&config.routing, &|secret| secret.reveal())?;
    let mut transports = Transports::bind(&config.sip).await.map_err(RunError::Listen)?;
    let tls = tls(&config)?;
    let certificate = tls.as_ref().map(|tls| Certificate::new(tls.expires()));
    if let Some(tls) = tls {
        transports.set_tls(tls);
    }
    let routes = Arc::new(routes);
    warn_of_private_addresses(&config, &routes, &mut transports);
    let seed = clock::seed().map_err(|error| system(&error))?;
    let resolver =
        Resolver::new(&config.dns, transports.listeners(), seed).map_err(|error| system(&error))?;
    for address in config.media.interfaces().into_iter().flat_map(|interface| interface.listen) {
        net::may_bind((address, 0).into()).map_err(|error| RunError::MediaAddress { address, error })?;
    }
    let media = Arc::new(MediaEvents::default());
    let events = Arc::clone(&media);
    let engine =
        Engine::start(&config.media, Arc::new(move |event| events.push(event))).map_err(RunError::Media)?;
    let capacity = engine.capacity();
    if capacity.bounded_by_files() {
        tracing::warn!("{capacity}");
    } else {
        tracing::info!("{capacity}");
    }
    let folder = source.as_ref().and_then(|source| source.file.parent()).unwrap_or(Path::new("."));
    for interface in &config.routing.interfaces {
        let InterfaceConfig { name, address, advertise, ports: [first, last], networks } = interface;
        let ports = format_args!("{first}-{last}");
        let legs = (u32::from(*last) - u32::from(*first)).div_ceil(2);
        tracing::info!(%name, ?address, ?advertise, %ports, legs, ?networks, "interface");
    }
    let records = Records::open(&config.records, folder)?;
    let views = Arc::new(DashMap::new());
    let ready = Arc::new(AtomicBool::new(false));
    let (commands_in, commands) = mpsc::channel(QUEUE);
    let (control_in, control) = mpsc::channel(QUEUE);
    let (resolved_in, resolved) = mpsc::channel(QUEUE);
    let token =
        config.http.token.as_ref().map(|token| token.reveal()).transpose().map_err(RunError::Token)?;
    let shared = Shared {
        views: Arc::clone(&views),
        ready: Arc::clone(&ready),
        commands: commands_in,
        metrics: metrics.renderer(),
    };
    let api = crate::api::start(config.http.listen, token, shared)?;
    let mut bridge = Bridge::new(Parts {
        world: Live {
            transports,
            resolver: Arc::new(resolver),
            engine,
            records,
            views,
            resolved: resolved_in,
        },
        routes,
        ids,
        settings: Settings::default(),
        limits: config.sip.limits.clone(),
        now: clock::now(),
    });
    bridge.limit(config.server.limit());
    bridge.ban_by(ban_policy(&config));
    bridge.follow_admission();
    let (memory, known) = Memory::open(config.server.state.clone());
    bridge.recall(known, u64::try_from(clock::unix_ms() / 1_000).unwrap_or(0));
    let server = Server { bridge, ready, source, config, certificate, memory };
    for listener in server.bridge.world.transports.listeners() {
        let (transport, address) = (listener.transport.via(), listener.address);
        tracing::info!(transport, %address, "listening for SIP");
    }
    tracing::info!(address = %api.local_addr(), "serving HTTP");
    let queues = Queues { resolved, commands, control, media };
    Ok(Assembled { server, queues, control: control_in, api })
}

impl Bridge<Live> {
    /// Takes connections from sources that are not banned, by TLS from where peers can be: a stranger is not
    /// even shown our certificate.
    pub(super) fn follow_admission(&mut self) {
        let (routes, banned) = (Arc::clone(&self.routes), self.bans.banned());
        self.world.transports.admit(Box::new(move |source, transport| {
            let may_speak = transport != Transport::Tls || routes.may_hold_a_peer(source);
            may_speak && !bans::holds(&banned, source, clock::now())
        }));
    }
}

/// `[sip].ban_after` and `ban_s`.
pub(super) fn ban_policy(config: &Config) -> BanPolicy {
    BanPolicy { after: config.sip.ban_after, lasts: Duration::from_secs(config.sip.ban_s.into()) }
}

/// What a wildcard shows depends on the routes of this machine, so that only here it can be said that a peer
/// on the Internet is told an address which it cannot reach; what stands in the file was judged with it.
fn warn_of_private_addresses(config: &Config, routes: &Routes, transports: &mut Transports) {
    let mut told = Vec::new();
    for peer in routes.peers() {
        let reached = peer.uris.iter().filter_map(|uri| uri.host.ip());
        for remote in reached.chain(peer.allow.iter().map(|range| range.addr())) {
            let interface = routes.interface(Some(peer), remote);
            let mut ways = [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter();
            let at = SocketAddr::new(remote, 0);
            let Some(own) = ways.find_map(|way| transports.local(way, at, interface)) else { continue };
            let bound = transports.listeners()[usize::from(own.listener.0)].address.ip();
            let is_fixed = config.sip.advertised_by(interface).contains(&own.ip) || !bound.is_unspecified();
            if is_fixed || !is_out_of_reach(own.ip, remote) || told.contains(&(interface, own.ip)) {
                continue;
            }
            told.push((interface, own.ip));
            let (peer, address) = (&peer.name, own.ip);
            tracing::warn!(%address, %peer, %remote, "a peer on the Internet will be told a private address; \
                                                      write the one that it reaches into `advertise`");
        }
    }
}

/// What TLS is spoken with, if any listener does.
pub(super) fn tls(config: &Config) -> Result<Option<Tls>, TlsError> {
    let authorities = config.routing.peers().filter_map(|(_, peer)| peer.tls_ca.as_deref());
    let is_needed = config.sip.listens(Transport::Tls);
    is_needed.then(|| Tls::load(&config.tls, authorities)).transpose()
}

/// A bridge on a thread of its own.
#[derive(Debug)]
pub struct Running {
    listeners: Vec<(Transport, SocketAddr)>,
    http: SocketAddr,
    control: mpsc::Sender<Control>,
    thread: thread::JoinHandle<()>,
}

/// Starts a bridge inside this process; it logs and counts like `serve`.
///
/// `config` is complete, as [`crate::config::load`] returns it: what depends on other keys is filled in.
///
/// # Errors
///
/// See [`RunError`]; nothing is left running.
pub fn start(config: Config) -> Result<Running, RunError> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("signalling".into())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(RunError::System(error.to_string())));
                    return;
                }
            };
            runtime.block_on(async {
                match assemble(config, None).await {
                    Ok(Assembled { server, queues, control, api }) => {
                        let listeners = server
                            .bridge
                            .world
                            .transports
                            .listeners()
                            .iter()
                            .map(|l| (l.transport, l.address))
                            .collect();
                        let _ = ready.send(Ok((listeners, api.local_addr(), control)));
                        server.run(queues).await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            });
        })
        .map_err(|error| RunError::System(error.to_string()))?;
    let (listeners, http, control) =
        started.recv().map_err(|_| RunError::System("the signalling thread ended at once".into()))??;
    Ok(Running { listeners, http, control, thread })
}

impl Running {
    /// Where the bridge listens by `transport`.
    #[must_use]
    pub fn sip_address(&self, transport: Transport) -> Option<SocketAddr> {
        self.listeners.iter().find(|(listens, _)| *listens == transport).map(|(_, address)| *address)
    }

    /// Where it serves HTTP.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Ends every call and waits for the bridge to be gone.
    pub fn stop(self) {
        let _ = self.control.blocking_send(Control::Drain);
        let _ = self.control.blocking_send(Control::Drain);
        let _ = self.thread.join();
    }
}

/// One process is one instance until there are clusters.
const INSTANCE: u8 = 0;

/// Places in each queue that leads to the signalling thread.
const QUEUE: usize = 1_024;
