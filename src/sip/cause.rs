//! Q.850 release causes, and what each is in SIP (RFC 3398 §7.2.4.1 and §8.2.6.1): the two tables whole.
//!
//! The tables are no inverse of each other: a telephone network's "no user responding" (18) is a 408,
//! and a 480 is an 18. A cause that RFC 3398 does not list is 500 there, but a status that it does not
//! list has no cause at all.

/// One Q.850 cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause {
    /// Its number.
    pub value: u16,
    /// Its name in Q.850.
    pub meaning: &'static str,
    /// The response it becomes (RFC 3398 §7.2.4.1); `None` for the normal end of a
    /// call, which is BYE or CANCEL.
    pub status: Option<u16>,
}

impl Cause {
    /// The cause with this number, if it is one we know by name.
    #[must_use]
    pub fn of(value: u16) -> Option<&'static Self> {
        CAUSES.iter().find(|cause| cause.value == value)
    }

    /// The cause that a final response with `status` becomes (RFC 3398 §8.2.6.1).
    #[must_use]
    pub fn of_status(status: u16) -> Option<&'static Self> {
        let value = match status {
            404 | 485 | 604 => 1,
            486 | 600 => 17,
            480 => 18,
            401..=403 | 407 | 603 => 21,
            410 => 22,
            482 | 483 => 25,
            484 => 28,
            502 => 38,
            400 | 481 | 500 | 503 => 41,
            405 => 63,
            406 | 415 | 501 => 79,
            408 | 504 => 102,
            413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
            _ => return None,
        };
        Self::of(value)
    }

    /// Whether it is how calls are expected to end.
    #[must_use]
    pub fn is_normal(value: u16) -> bool {
        matches!(value, NORMAL_CLEARING | NORMAL_UNSPECIFIED)
    }
}

/// "Normal call clearing": somebody hung up.
pub const NORMAL_CLEARING: u16 = 16;
/// "Temporary failure": what is broken may be whole again soon.
pub const TEMPORARY_FAILURE: u16 = 41;
/// "Recovery on timer expiry": what had to come did not come in time.
pub const TIMER_EXPIRY: u16 = 102;

const NORMAL_UNSPECIFIED: u16 = 31;

const fn cause(value: u16, meaning: &'static str, status: u16) -> Cause {
    Cause { value, meaning, status: Some(status) }
}

const CAUSES: &[Cause] = &[
    cause(1, "unallocated number", 404),
    cause(2, "no route to network", 404),
    cause(3, "no route to destination", 404),
    Cause { value: NORMAL_CLEARING, meaning: "normal call clearing", status: None },
    cause(17, "user busy", 486),
    cause(18, "no user responding", 408),
    cause(19, "no answer from the user", 480),
    cause(20, "subscriber absent", 480),
    cause(21, "call rejected", 403),
    cause(22, "number changed", 410),
    cause(23, "redirection to new destination", 410),
    cause(25, "exchange routing error", 500),
    cause(26, "non-selected user clearing", 404),
    cause(27, "destination out of order", 502),
    cause(28, "address incomplete", 484),
    cause(29, "facility rejected", 501),
    cause(NORMAL_UNSPECIFIED, "normal, unspecified", 480),
    cause(34, "no circuit available", 503),
    cause(38, "network out of order", 503),
    cause(TEMPORARY_FAILURE, "temporary failure", 503),
    cause(42, "switching equipment congestion", 503),
    cause(47, "resource unavailable", 503),
    cause(55, "incoming calls barred within CUG", 403),
    cause(57, "bearer capability not authorized", 403),
    cause(58, "bearer capability not presently available", 503),
    cause(63, "service or option unavailable", 500),
    cause(65, "bearer capability not implemented", 488),
    cause(70, "only restricted digital information available", 488),
    cause(79, "service or option not implemented", 501),
    cause(87, "user not member of CUG", 403),
    cause(88, "incompatible destination", 503),
    cause(TIMER_EXPIRY, "recovery on timer expiry", 504),
    cause(111, "protocol error", 500),
    cause(127, "interworking", 500),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_becomes_the_status_of_rfc_3398() {
        for (value, status) in [
            (1, 404),
            (17, 486),
            (18, 408),
            (19, 480),
            (21, 403),
            (22, 410),
            (28, 484),
            (34, 503),
            (102, 504),
        ] {
            assert_eq!(Cause::of(value).and_then(|cause| cause.status), Some(status), "{value}");
        }
        assert_eq!(Cause::of(16).and_then(|cause| cause.status), None);
        assert_eq!(Cause::of(99), None);
    }

    #[test]
    fn a_status_becomes_the_cause_of_rfc_3398() {
        for (status, value) in [
            (400, 41),
            (401, 21),
            (403, 21),
            (404, 1),
            (405, 63),
            (406, 79),
            (408, 102),
            (410, 22),
            (480, 18),
            (482, 25),
            (484, 28),
            (486, 17),
            (500, 41),
            (501, 79),
            (502, 38),
            (503, 41),
            (504, 102),
            (600, 17),
            (603, 21),
            (604, 1),
        ] {
            assert_eq!(Cause::of_status(status).map(|cause| cause.value), Some(value), "{status}");
        }
        assert_eq!([487, 488, 606].map(Cause::of_status), [None; 3]);
    }

    #[test]
    fn every_status_that_has_a_cause_has_one_with_a_name() {
        let named = (300..700).filter(|&status| Cause::of_status(status).is_some()).count();

        assert_eq!(named, 34);
    }
}
