//! How long our certificate still holds: a gauge, and a warning in the log 30 days and 7 days before its end.
//!
//! Only the wall clock knows; it is passed in, and may be set back.

use metrics::{Gauge, describe_gauge, gauge};

/// The certificate that is in use.
pub(super) struct Certificate {
    /// Its end, in seconds since the Unix epoch.
    expires: i64,
    told: Stage,
    left: Gauge,
}

/// How near the end is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Far,
    Month,
    Week,
    Over,
}

impl Certificate {
    pub(super) fn new(expires: i64) -> Self {
        describe_gauge!(EXPIRY, "Seconds until the certificate of [tls] expires; negative afterwards");
        Self { expires, told: Stage::Far, left: gauge!(EXPIRY) }
    }

    /// Sets the gauge, and warns when a stage is entered.
    pub(super) fn look(&mut self, unix_ms: i64) {
        let left = self.expires - unix_ms.div_euclid(1_000);
        #[expect(clippy::cast_precision_loss, reason = "seconds of a lifetime are far below 2^52")]
        self.left.set(left as f64);
        let stage = stage(left);
        if stage > self.told {
            let days = left.div_euclid(DAY);
            if stage == Stage::Over {
                tracing::error!(
                    "the certificate of [tls] has expired: peers refuse TLS; renew it, then SIGHUP"
                );
            } else {
                tracing::warn!(days, "the certificate of [tls] expires soon; renew it, then SIGHUP");
            }
        }
        self.told = stage;
    }
}

fn stage(left: i64) -> Stage {
    match left {
        ..0 => Stage::Over,
        0..WEEK => Stage::Week,
        WEEK..MONTH => Stage::Month,
        MONTH.. => Stage::Far,
    }
}

const EXPIRY: &str = "trunkline_tls_certificate_expiry_seconds";
const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 30 * DAY;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_entered_at_30_days_at_7_days_and_at_the_end() {
        let stages = [30 * DAY, 30 * DAY - 1, 7 * DAY, 7 * DAY - 1, 0, -1].map(stage);

        assert_eq!(stages, [Stage::Far, Stage::Month, Stage::Month, Stage::Week, Stage::Week, Stage::Over]);
    }
}
