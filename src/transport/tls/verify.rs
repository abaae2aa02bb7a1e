//! Whose a certificate is, and whether anybody we trust says so (RFC 5922 §4 and §7, RFC 5280).
//!
//! A `sip:` URI among the subject's alternative names is the identity of a SIP domain, and where there is one
//! the DNS names do not count (RFC 5922 §7.1). Wildcards match although §7.2 forbids it: carriers have such
//! certificates. The common name never counts.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::sip::uri::{Scheme, Uri};

/// Whose signature counts.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    /// Certificates that are trusted as they are: a self-signed one is its own authority, and commonly says
    /// so, which RFC 5280 does not allow for the certificate of a server.
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

/// Decides about the certificates of servers that we connect to.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: Trust,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trust.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) {
            check_dates(end_entity, now)?;
        } else {
            let (roots, algorithms) = (&self.trust.roots, self.algorithms.all);
            let end_entity = ParsedCertificate::try_from(end_entity)?;
            verify_server_cert_signed_by_trust_anchor(&end_entity, roots, intermediates, now, algorithms)?;
        }
        proves(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether `certificate` belongs to `name`; who signed it is not asked here.
///
/// # Errors
///
/// It cannot be read, or belongs to somebody else.
pub(in crate::transport) fn proves(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    let domains = sip_domains(certificate)?;
    if domains.is_empty() {
        return verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
    }
    let wanted = name.to_str();
    if domains.iter().any(|domain| domain.eq_ignore_ascii_case(&wanted)) {
        return Ok(());
    }
    let presented = domains.into_iter().map(|domain| format!("URI \"sip:{domain}\"")).collect();
    Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into())
}

/// The hosts of the `sip:` URIs among the alternative names; one with a user part names no domain.
fn sip_domains(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| BAD_ENCODING)?;
    let names = certificate.subject_alternative_name().map_err(|_| BAD_ENCODING)?;
    let uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Uri::parse(uri.as_bytes()).ok(),
        _ => None,
    });
    let domains = uris.filter(|uri| uri.scheme == Scheme::Sip && uri.user.is_none());
    Ok(domains.map(|uri| uri.host.to_string()).collect())
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| BAD_ENCODING)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < certificate.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > certificate.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

const BAD_ENCODING: Error = Error::InvalidCertificate(CertificateError::BadEncoding);
