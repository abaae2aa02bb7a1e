//! Certificates and keys in PEM files (RFC 7468), and what can be wrong with them.
//!
//! An error names the file and what is wrong with it, never anything that stands in it: it may be a key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Our certificate and its key.
#[derive(Debug)]
pub(in crate::transport) struct Identity {
    pub(super) key: CertifiedKey,
    /// When the certificate begins and ceases to be valid, in seconds since the Unix epoch.
    pub(in crate::transport) valid: [i64; 2],
}

/// Why a file of `[tls]`, or a peer's `ca`, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not give it.
    #[error("{} can't be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds no certificate, or something else that calls itself one.
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// It holds no private key.
    #[error("{} holds no private key", .0.display())]
    NoKey(PathBuf),
    /// Its key can be read only with a passphrase.
    #[error("the key in {} is encrypted", .0.display())]
    EncryptedKey(PathBuf),
    /// Its key is of a kind that TLS here has no use for.
    #[error("the key in {} is neither RSA (2048 bits or more), ECDSA on P-256 or P-384, nor \
             Ed25519", .0.display())]
    UnusableKey(PathBuf),
    /// The two belong to different pairs.
    #[error("the key in {} does not belong to the certificate", .0.display())]
    Mismatch(PathBuf),
}

impl FileError {
    /// The file that is at fault; of two that do not belong together, the key's.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unreadable { path, .. }
            | Self::NoCertificate(path)
            | Self::NoKey(path)
            | Self::EncryptedKey(path)
            | Self::UnusableKey(path)
            | Self::Mismatch(path) => path,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name a PEM file that trunkline may read",
            Self::NoCertificate(_) => "name a PEM file with -----BEGIN CERTIFICATE----- in it",
            Self::NoKey(_) => "name a PEM file with -----BEGIN PRIVATE KEY----- in it",
            Self::EncryptedKey(_) => "decrypt it: openssl pkey -in encrypted.pem -out key.pem",
            Self::UnusableKey(_) => "make another, such as ECDSA on P-256, and have it certified",
            Self::Mismatch(_) => {
                "name the certificate of this key; in a chain it stands first, before the authorities"
            }
        }
    }
}

impl Identity {
    /// Reads a certificate chain, our own first, and its key.
    pub(in crate::transport) fn read(
        certificate: &Path,
        key: &Path,
        provider: &CryptoProvider,
    ) -> Result<Self, FileError> {
        let chain = certificates(certificate)?;
        let not_one = || FileError::NoCertificate(certificate.to_owned());
        let (_, own) =
            chain.first().and_then(|own| X509Certificate::from_der(own).ok()).ok_or_else(not_one)?;
        let valid = [own.validity().not_before.timestamp(), own.validity().not_after.timestamp()];
        let key =
            CertifiedKey::from_der(chain.clone(), private_key(key)?, provider).map_err(
                |error| match error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        FileError::Mismatch(key.to_owned())
                    }
                    Error::InvalidCertificate(_) => not_one(),
                    _ => FileError::UnusableKey(key.to_owned()),
                },
            )?;
        Ok(Self { key, valid })
    }
}

/// Every certificate in a file, at least one.
pub(in crate::transport) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(FileError::NoCertificate(path.to_owned())),
    }
}

/// The private key in a file.
pub(in crate::transport) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let pem = read(path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let is_encrypted = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| pem.windows(mark.len()).any(|window| window == *mark));
        if is_encrypted {
            FileError::EncryptedKey(path.to_owned())
        } else {
            FileError::NoKey(path.to_owned())
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| FileError::Unreadable { path: path.to_owned(), error })
}
