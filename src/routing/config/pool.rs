//! The keys of a trunk about a pool of `caller_ids`: which of them a call shows, and which rest.
//!
//! All are off by default: without them the numbers take turns, each as often as its weight says.

use super::caller::{CallerId, parse_rotating};
use super::numbers::parse_pattern;
use crate::config::reader::{KeyPath, Mistake, Reader, Review};

/// One of `caller_ids`: a number, and how often its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolNumber {
    /// As it is shown.
    pub number: String,
    /// Of so many turns together it gets this many. Default `1`.
    pub weight: u32,
}

/// What decides before turns do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolConfig {
    /// Show numbers of the callee's own area first, else of its country. Default `false`.
    pub local: bool,
    /// Show a callee the number that it was shown before. Default `false`.
    pub sticky: bool,
    /// Calls that a number is shown in, per day (UTC); 0 is no limit, which is the default.
    pub daily_cap: u32,
    /// Seconds that a number is shown last after a callee refused it with 603, 607 or 608; 0 is not at
    /// all, which is the default.
    pub rest_s: u32,
    /// Numbers, and prefixes that end in `*`, that this trunk lets us show. Default: those in `[[numbers]]`
    /// and the trunk's caller IDs.
    pub owned: Option<Vec<String>>,
}

impl From<&str> for PoolNumber {
    fn from(number: &str) -> Self {
        Self { number: number.to_owned(), weight: 1 }
    }
}

impl PoolConfig {
    pub(super) fn read(table: &mut Reader<'_>) -> Self {
        Self {
            local: table.flag("caller_local", false),
            sticky: table.flag("caller_sticky", false),
            daily_cap: table.whole("caller_daily_cap", 0, 0..=1_000_000),
            rest_s: table.whole("caller_rest_s", 0, 0..=LONGEST_REST_S),
            owned: table.list("owned", |text| parse_pattern("owned", text)),
        }
    }

    /// Whether `number` may be shown, as far as `owned` says.
    #[must_use]
    pub fn owns(&self, number: &str) -> Option<bool> {
        let fits = |own: &String| match own.strip_suffix('*') {
            Some(prefix) => number.starts_with(prefix),
            None => number == own,
        };
        self.owned.as_ref().map(|owned| owned.iter().any(fits))
    }

    pub(super) fn check(&self, caller_id: &CallerId, here: &KeyPath, review: &mut Review<'_>) {
        self.check_owned(caller_id, here, review);
        let is_broken = review.is_broken(&here.key("caller_ids"));
        let is_pool = matches!(caller_id, CallerId::Rotating(_));
        for (key, is_used) in [
            ("caller_local", self.local),
            ("caller_sticky", self.sticky),
            ("caller_daily_cap", self.daily_cap > 0),
            ("caller_rest_s", self.rest_s > 0),
        ] {
            if is_used && !is_pool && !is_broken {
                let what = format!("`{key}` has no effect without `caller_ids`");
                review.warning(&here.key(key), Mistake::new(what, "add `caller_ids`, or take it out"));
            }
        }
    }

    fn check_owned(&self, caller_id: &CallerId, here: &KeyPath, review: &mut Review<'_>) {
        let (key, numbers) = caller_id.shown();
        let at = here.key(key);
        if review.is_broken(&at) || review.is_broken(&here.key("owned")) {
            return;
        }
        let foreign = |number: &&str| number.starts_with('+') && self.owns(number) == Some(false);
        if let Some(number) = numbers.into_iter().find(foreign) {
            let what = format!("`{key}` has {number}, which is not in `owned`");
            review.mistake(&at, Mistake::new(what, "add it to `owned`, or take it out here"));
        }
    }
}

/// A number, perhaps with `;weight=3` behind it.
///
/// # Errors
///
/// As [`parse_rotating`]; or the weight is none.
pub fn parse_pool_number(text: &str) -> Result<PoolNumber, Mistake> {
    let Some((number, weight)) = text.split_once(";weight=") else {
        return Ok(PoolNumber { number: parse_rotating(text)?, weight: 1 });
    };
    let weight = weight.parse().ok().filter(|weight| (1..=MOST_WEIGHT).contains(weight));
    let Some(weight) = weight else {
        let what = format!("the weight of {number} in `caller_ids` is none");
        return Err(Mistake::new(what, format!("write a number from 1 to {MOST_WEIGHT} behind ;weight=")));
    };
    Ok(PoolNumber { number: parse_rotating(number)?, weight })
}

const MOST_WEIGHT: u32 = 1_000;
const LONGEST_REST_S: u32 = 30 * 86_400;
