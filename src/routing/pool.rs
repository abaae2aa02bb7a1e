//! Whose turn it is among a trunk's `caller_ids`, as a pure function over what was shown to whom before.
//!
//! In this order: a number that has had its calls of the day is out; one that was refused lately comes after
//! all others; a callee is shown the number it knows; numbers of its area go before those of its country, and
//! these before the rest; among what is left, turns go round by weight (smoothly: 3 to 1 is a a b a, never a
//! a a b). A cap is kept even where no number is left, because it stands between a number and its being
//! labelled as spam; a rest is not.

use std::collections::BTreeMap;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber};
use serde::{Deserialize, Serialize};

use super::config::{PoolConfig, PoolNumber};
use super::normalise::Country;

/// What routing remembers between calls, of every trunk by its name: it survives a reload, and a restart
/// where it is written to a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rotation {
    /// Seconds since the Unix epoch.
    #[serde(skip)]
    now_s: u64,
    #[serde(skip)]
    is_changed: bool,
    #[serde(default)]
    trunks: BTreeMap<String, Memory>,
}

/// What is remembered of one trunk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// By caller ID.
    numbers: BTreeMap<String, Use>,
    /// Who was shown which caller ID last; kept only where that counts.
    callees: BTreeMap<String, Shown>,
}

/// What became of one caller ID.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Use {
    /// Turns that it is owed; negative: that it had early.
    credit: i64,
    /// Days since the Unix epoch, for `calls`.
    day: u64,
    /// Calls of that day.
    calls: u32,
    rests_until_s: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shown {
    number: String,
    at_s: u64,
}

/// `caller_ids`, compiled.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    members: Vec<Member>,
    config: PoolConfig,
}

#[derive(Clone, Debug)]
struct Member {
    own: PoolNumber,
    home: Option<Home>,
}

/// Where a number is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    country_code: i32,
    /// Area code; empty where the country has none.
    area: String,
}

/// A caller ID whose turn it is, and what decided besides turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn<'a> {
    pub(super) number: &'a str,
    pub(super) why: Option<&'static str>,
}

/// Whether a turn that is taken counts.
pub(super) enum Access<'a> {
    /// It does.
    Take(&'a mut Rotation),
    /// It is only looked at.
    Look(&'a Rotation),
}

impl Pool {
    pub(super) fn compile(numbers: &[PoolNumber], config: &PoolConfig, country: Country) -> Self {
        let member = |own: &PoolNumber| {
            let number = country.read(&own.number).map(|reading| reading.number.into_owned());
            let home = config.local.then_some(number).flatten().and_then(|number| Home::of(&number));
            Member { own: own.clone(), home }
        };
        Self { members: numbers.iter().map(member).collect(), config: config.clone() }
    }

    /// Whether `number` may be shown, as far as `owned` says.
    pub(super) fn owns(&self, number: &str) -> Option<bool> {
        self.config.owns(number)
    }

    /// Those that nothing but their turn tells apart, and what does; empty when all
    /// had their calls of the day.
    fn candidates(&self, memory: &Memory, callee: &str, now_s: u64) -> (Vec<&Member>, Option<&'static str>) {
        let PoolConfig { local, sticky, daily_cap, .. } = self.config;
        let of = |member: &Member| memory.numbers.get(&member.own.number);
        let is_spent = |member: &Member| {
            daily_cap > 0 && of(member).is_some_and(|it| it.calls_on(now_s / DAY_S) >= daily_cap)
        };
        let mut left: Vec<_> = self.members.iter().filter(|member| !is_spent(member)).collect();
        let is_rested = |member: &&Member| of(member).is_none_or(|it| it.rests_until_s <= now_s);
        if left.iter().any(is_rested) {
            left.retain(is_rested);
        }
        let known = memory.callees.get(callee).filter(|_| sticky);
        let is_known = |member: &&Member| known.is_some_and(|known| known.number == member.own.number);
        if left.iter().any(is_known) {
            left.retain(is_known);
            return (left, Some("the callee knows it"));
        }
        let home = local.then(|| Home::of(callee)).flatten();
        let near = |member: &Member| home.as_ref().map_or(0, |home| home.nearness(member.home.as_ref()));
        let nearest = left.iter().map(|member| near(member)).max().unwrap_or(0);
        left.retain(|member| near(member) == nearest);
        (left, [None, Some("of the callee's country"), Some("of the callee's area")][nearest])
    }
}

impl Access<'_> {
    /// What is left of the day that daily caps are for, in seconds.
    pub(super) fn left_of_day_s(&self) -> u32 {
        let now_s = match self {
            Self::Take(rotation) => rotation.now_s,
            Self::Look(rotation) => rotation.now_s,
        };
        u32::try_from(DAY_S - now_s % DAY_S).unwrap_or_default()
    }

    /// The caller ID for a call by `trunk` to `callee`; `None` when all had their calls of the day.
    pub(super) fn turn<'p>(self, trunk: &str, pool: &'p Pool, callee: &str) -> Option<Turn<'p>> {
        let nothing = Memory::default();
        match self {
            Self::Look(rotation) => {
                let memory = rotation.trunks.get(trunk).unwrap_or(&nothing);
                let (candidates, why) = pool.candidates(memory, callee, rotation.now_s);
                let next = next(memory, &candidates)?;
                Some(Turn { number: &next.own.number, why })
            }
            Self::Take(rotation) => {
                let now_s = rotation.now_s;
                let memory = rotation.trunks.entry(trunk.to_owned()).or_default();
                let (candidates, why) = pool.candidates(memory, callee, now_s);
                let next = next(memory, &candidates)?;
                memory.take(next, &candidates, callee, pool.config.sticky, now_s);
                rotation.is_changed = true;
                Some(Turn { number: &next.own.number, why })
            }
        }
    }
}

impl Rotation {
    /// The time for everything that follows, in seconds since the Unix epoch.
    pub fn set_time(&mut self, now_s: u64) {
        self.now_s = now_s;
    }

    /// A callee of `trunk` refused a call from `number` for good: it rests for `rest_s`.
    pub(super) fn refused(&mut self, trunk: &str, number: &str, rest_s: u32) {
        let memory = self.trunks.get_mut(trunk);
        if let Some(used) = memory.and_then(|memory| memory.numbers.get_mut(number)) {
            used.rests_until_s = self.now_s + u64::from(rest_s);
            self.is_changed = true;
        }
    }

    /// Whether it is another than when this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }
}

/// The candidate that is owed most turns once each has got its own; the first of equals.
fn next<'p>(memory: &Memory, candidates: &[&'p Member]) -> Option<&'p Member> {
    let owed = |member: &Member| {
        let credit = memory.numbers.get(&member.own.number).map_or(0, |it| it.credit);
        credit + i64::from(member.own.weight)
    };
    candidates.iter().rev().max_by_key(|member| owed(member)).copied()
}

impl Memory {
    fn take(&mut self, chosen: &Member, candidates: &[&Member], callee: &str, is_sticky: bool, now_s: u64) {
        let all: i64 = candidates.iter().map(|member| i64::from(member.own.weight)).sum();
        for member in candidates {
            let used = self.numbers.entry(member.own.number.clone()).or_default();
            used.credit += i64::from(member.own.weight);
        }
        let used = self.numbers.entry(chosen.own.number.clone()).or_default();
        used.credit -= all;
        let day = now_s / DAY_S;
        (used.calls, used.day) = (used.calls_on(day) + 1, day);
        if !is_sticky {
            return;
        }
        if self.callees.len() >= MOST_CALLEES && !self.callees.contains_key(callee) {
            let oldest =
                self.callees.iter().min_by_key(|(_, shown)| shown.at_s).map(|(callee, _)| callee.clone());
            oldest.and_then(|oldest| self.callees.remove(&oldest));
        }
        let shown = Shown { number: chosen.own.number.clone(), at_s: now_s };
        self.callees.insert(callee.to_owned(), shown);
    }
}

impl Use {
    fn calls_on(&self, day: u64) -> u32 {
        if self.day == day { self.calls } else { 0 }
    }
}

impl Home {
    fn of(number: &str) -> Option<Self> {
        let parsed: PhoneNumber = PHONE_NUMBER_UTIL.parse(number, None).ok()?;
        let national = parsed.get_national_significant_number();
        let area = national.get(..parsed.get_length_of_geographical_area_code()).unwrap_or_default();
        Some(Self { country_code: parsed.country_code, area: area.to_owned() })
    }

    /// 2 in the same area, 1 in the same country, else 0.
    fn nearness(&self, other: Option<&Self>) -> usize {
        match other {
            Some(other) if other.country_code != self.country_code => 0,
            Some(other) if !self.area.is_empty() && other.area == self.area => 2,
            Some(_) => 1,
            None => 0,
        }
    }
}

const DAY_S: u64 = 86_400;

/// Of one trunk; whoever was called longest ago is forgotten first.
const MOST_CALLEES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_round_per_trunk_and_a_shorter_list_goes_on() {
        let (long, short) = (pool(&["a", "b", "c"]), pool(&["a", "b"]));
        let mut rotation = Rotation::default();

        let turns = shown(&mut rotation, &long, &["1"; 5]);
        let other = Access::Take(&mut rotation).turn("other", &long, "1").unwrap().number;
        let shorter = shown(&mut rotation, &short, &["1"; 2]);

        assert_eq!(turns, ["a", "b", "c", "a", "b"]);
        assert_eq!((other, shorter), ("a", vec!["a", "b"]));
        assert_eq!(Access::Take(&mut rotation).turn("carrier", &pool(&[]), "1"), None);
    }

    #[test]
    fn weights_are_kept_without_bunching() {
        let mut heavy = pool(&["a", "b"]);
        heavy.members[0].own.weight = 3;

        let turns = shown(&mut Rotation::default(), &heavy, &["1"; 8]);

        assert_eq!(turns, ["a", "a", "b", "a", "a", "a", "b", "a"]);
    }

    #[test]
    fn looking_takes_no_turn() {
        let pool = pool(&["a", "b"]);
        let mut rotation = Rotation::default();
        shown(&mut rotation, &pool, &["1"]);
        let before = rotation.clone();

        let seen = Access::Look(&rotation).turn("carrier", &pool, "1").unwrap().number;

        assert_eq!((seen, rotation), ("b", before));
    }

    #[test]
    fn a_callee_sees_its_own_area_first_then_its_country() {
        let config = PoolConfig { local: true, ..PoolConfig::default() };
        let pool = with(&["+14155550101", "+12125550102", "+442079460103", "+14155550104"], config);

        let here = shown(&mut Rotation::default(), &pool, &["+14155550123", "+14155550123", "+14155550123"]);
        let country = shown(&mut Rotation::default(), &pool, &["+13125550123", "+442071838750"]);
        let nowhere = shown(&mut Rotation::default(), &pool, &["+4930123456", "1001"]);

        assert_eq!(here, ["+14155550101", "+14155550104", "+14155550101"]);
        assert_eq!(country, ["+14155550101", "+442079460103"]);
        assert_eq!(nowhere, ["+14155550101", "+12125550102"], "turns alone");
    }

    #[test]
    fn a_callee_sees_the_number_it_knows_until_that_one_rests() {
        let pool = with(&["a", "b"], PoolConfig { sticky: true, ..PoolConfig::default() });
        let mut rotation = Rotation::default();

        let first = shown(&mut rotation, &pool, &["1", "2", "1", "1", "2"]);
        rotation.refused("carrier", "a", 60);
        let then = shown(&mut rotation, &pool, &["1"]);

        assert_eq!(first, ["a", "b", "a", "a", "b"]);
        assert_eq!(then, ["b"]);
    }

    #[test]
    fn the_cap_of_the_day_is_kept_to_the_last_number() {
        let pool = with(&["a", "b"], PoolConfig { daily_cap: 2, ..PoolConfig::default() });
        let mut rotation = Rotation::default();
        rotation.set_time(20_000 * DAY_S);

        let today = shown(&mut rotation, &pool, &["1"; 4]);
        let spent = Access::Take(&mut rotation).turn("carrier", &pool, "1");
        rotation.set_time(20_001 * DAY_S);
        let tomorrow = shown(&mut rotation, &pool, &["1"]);

        assert_eq!((today, spent, tomorrow), (vec!["a", "b", "a", "b"], None, vec!["b"]));
    }

    #[test]
    fn a_refused_number_comes_last_for_a_while() {
        let pool = pool(&["a", "b"]);
        let mut rotation = Rotation::default();
        rotation.set_time(1_000);
        shown(&mut rotation, &pool, &["1", "1"]);

        rotation.refused("carrier", "a", 60);
        let resting = shown(&mut rotation, &pool, &["1"; 3]);
        rotation.refused("carrier", "b", 60);
        let both = shown(&mut rotation, &pool, &["1"]);
        rotation.set_time(1_060);
        let rested = shown(&mut rotation, &pool, &["1"; 2]);

        assert_eq!(resting, ["b", "b", "b"]);
        assert_eq!(both, ["a"], "when all rest, turns go on");
        assert_eq!(rested, ["b", "a"]);
    }

    #[test]
    fn no_more_callees_are_remembered_than_there_is_room_for() {
        let pool = with(&["a", "b"], PoolConfig { sticky: true, ..PoolConfig::default() });
        let mut rotation = Rotation::default();
        for callee in 0..MOST_CALLEES + 10 {
            rotation.set_time(callee as u64);
            shown(&mut rotation, &pool, &[&callee.to_string()]);
        }

        let callees = &rotation.trunks["carrier"].callees;

        assert_eq!(callees.len(), MOST_CALLEES);
        assert!(!callees.contains_key("9") && callees.contains_key("10"));
    }

    fn pool(numbers: &[&str]) -> Pool {
        with(numbers, PoolConfig::default())
    }

    fn with(numbers: &[&str], config: PoolConfig) -> Pool {
        let numbers: Vec<_> = numbers.iter().map(|&number| PoolNumber::from(number)).collect();
        Pool::compile(&numbers, &config, Country::default())
    }

    /// What these callees are shown, one after the other.
    fn shown<'p>(rotation: &mut Rotation, pool: &'p Pool, callees: &[&str]) -> Vec<&'p str> {
        let turn = |callee: &&str| Access::Take(rotation).turn("carrier", pool, callee).unwrap().number;
        callees.iter().map(turn).collect()
    }
}
