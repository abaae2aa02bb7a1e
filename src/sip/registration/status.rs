//! What is told of a registration: where it stands, and why the last round through its registrars failed.
//!
//! A registration whose refresh fails is still registered, until its binding expires; the
//! trouble is told beside it.

/// Where a registration stands, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Not yet bound, for the first time.
    Registering,
    /// Bound.
    Registered,
    /// Not bound; tried again later.
    Failed,
    /// Taken back.
    Unregistered,
}

impl Status {
    /// In the order of their labels in metrics.
    pub const ALL: [Self; 4] = [Self::Registering, Self::Registered, Self::Failed, Self::Unregistered];

    /// As metrics and the API call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Registering => "registering",
            Self::Registered => "registered",
            Self::Failed => "failed",
            Self::Unregistered => "unregistered",
        }
    }
}

/// Why the last attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// No registrar has an address that we can reach.
    #[error("no registrar has an address that can be reached")]
    NoAddress,
    /// Nobody answered, or nobody could be connected to.
    #[error("no registrar answers")]
    Silent,
    /// The credentials were refused, or none of ours fits the challenge.
    #[error("the registrar refuses the credentials ({0}); check `username` and `password`")]
    Credentials(u16),
    /// It was refused with this status.
    #[error("the registrar refuses with {0}")]
    Refused(u16),
    /// A 2xx that binds nothing.
    #[error("the registrar answered 200, but with an expiry of 0")]
    NotBound,
}
