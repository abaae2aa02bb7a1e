//! TLS for SIP (RFC 3261 §26.3.1, RFC 5922, RFC 8446, RFC 5246): our certificate, whom we trust, and the
//! handshake.
//!
//! Everything here is read from files into a [`Tls`] that is replaced whole on a reload: connections that
//! stand keep what they were made with. A client that connects to us proves who it is only if `mtls` asks it
//! to; which peer it is, addresses and credentials decide as on every transport.

mod domains;
mod files;
mod handshakes;
mod verify;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};

pub(super) use self::domains::{Domains, Named};
pub use self::files::FileError;
pub(super) use self::files::{Identity, certificates, private_key};
pub(super) use self::handshakes::Handshakes;
pub(super) use self::verify::proves;
use self::verify::{Trust, Verifier};
use super::config::tls::{Config, Mtls};

/// What TLS is spoken with.
#[derive(Clone, Debug)]
pub struct Tls {
    server: Arc<ServerConfig>,
    /// By the file of authorities that a peer is verified by; `None` is `[tls].ca`.
    clients: HashMap<Option<PathBuf>, Arc<ClientConfig>>,
    expires: i64,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A listener is there, and no certificate for it.
    #[error("`certificate` and `key` are missing, which a tls: listener needs")]
    NoCertificate,
    /// A file cannot be used.
    #[error("{error}; {}", .error.remedy())]
    File {
        /// What is wrong with it.
        #[from]
        error: FileError,
    },
    /// Nobody is trusted to say who clients are.
    #[error("certificates of clients cannot be verified: {0}")]
    Clients(#[from] VerifierBuilderError),
    /// The library refuses.
    #[error(transparent)]
    Library(#[from] Error),
}

impl Tls {
    /// Reads every file: those of `config`, and the authorities that single peers are verified by.
    ///
    /// # Errors
    ///
    /// The first thing that is missing or wrong.
    pub fn load<'p>(config: &Config, peers: impl Iterator<Item = &'p Path>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
            return Err(TlsError::NoCertificate);
        };
        let identity = Identity::read(certificate, key, &provider)?;
        let expires = identity.valid[1];
        let own = Arc::new(SingleCertAndKey::from(identity.key));
        let clients = [None].into_iter().chain(peers.map(Some));
        let clients = clients.map(|ca| {
            let trust = trust(ca.or(config.ca.as_deref()))?;
            Ok((ca.map(Path::to_owned), client(trust, &own, &provider)?))
        });
        Ok(Self {
            server: server(config, &own, &provider)?,
            clients: clients.collect::<Result<_, TlsError>>()?,
            expires,
        })
    }

    /// When our certificate ceases to be valid, in seconds since the Unix epoch.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.expires
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// `None` after a reload that took this file of authorities out.
    pub(super) fn client(&self, ca: Option<&PathBuf>) -> Option<Arc<ClientConfig>> {
        self.clients.get(&ca.cloned()).cloned()
    }
}

fn server(
    config: &Config,
    own: &Arc<SingleCertAndKey>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = if config.mtls == Mtls::Off {
        builder.with_no_client_auth()
    } else {
        let roots = trust(config.client_ca.as_deref().or(config.ca.as_deref()))?.roots;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
        let verifier = if config.mtls == Mtls::Request { verifier.allow_unauthenticated() } else { verifier };
        builder.with_client_cert_verifier(verifier.build()?)
    };
    Ok(Arc::new(builder.with_cert_resolver(Arc::clone(own) as _)))
}

fn client(
    trust: Trust,
    own: &Arc<SingleCertAndKey>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = Verifier { trust, algorithms: provider.signature_verification_algorithms };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(builder.with_client_cert_resolver(Arc::clone(own) as _)))
}

/// The authorities in a file, or those of the system.
fn trust(ca: Option<&Path>) -> Result<Trust, TlsError> {
    let pinned = match ca {
        Some(file) => certificates(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(pinned.iter().cloned());
    if added == 0 {
        tracing::warn!("the system has no certificates of authorities; name a file of them in [tls].ca");
    }
    let pinned = if ca.is_some() { pinned } else { Vec::new() };
    Ok(Trust { roots: Arc::new(roots), pinned })
}
