//! Everything that happened, as a list, and what follows from it. Nothing is remembered besides the list: whoever wants
//! to know something reads it from the beginning.

use super::judge::{Question, Ruling};
use super::people::{Voice, enough};
use super::plans::Bounds;
use super::world::{Scopes, Sets, Time, Wish, person};

/// Why people are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A hook was called.
    Hook,
    /// An account asked ahead, perhaps for a later start.
    Ahead(usize, Option<Time>),
    /// An account wants a grant to go on.
    Extends(usize, usize),
}

/// Where a grant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Request(usize),
    Allowed,
    Glass,
}

/// The birth of an access request.
#[derive(Debug, Clone)]
pub struct Opened {
    pub wish: Wish,
    pub origin: Origin,
    pub question: Question,
    pub ruling: Ruling,
    /// The policy that was in force.
    pub policy: usize,
    pub decide_by: Time,
}

/// The birth of a grant. It belongs to whoever calls as `wish` does.
#[derive(Debug, Clone)]
pub struct Granted {
    pub wish: Wish,
    pub source: Source,
    pub scopes: Scopes,
    pub bounds: Bounds,
    pub starts: Time,
    pub until: Time,
    pub collect_by: Time,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The machine's clock says this; sometimes it says less than before.
    Clock(Time),
    /// Another policy is in force.
    Policy(usize),
    /// A call with an identifier came.
    Called(Wish),
    Opened(Opened),
    /// Somebody agreed to what was shown, without these scopes and for no longer than this.
    Agreed {
        request: usize,
        voice: Voice,
        take: Scopes,
        seconds: u64,
    },
    TookBack {
        request: usize,
        who: usize,
    },
    Denied {
        request: usize,
    },
    Withdrawn {
        request: usize,
    },
    Granted(Granted),
    /// What was granted ahead starts: those who agreed were looked at again.
    Started {
        grant: usize,
    },
    /// What was granted ahead belongs to this call from now on.
    Collected {
        grant: usize,
        wish: Wish,
    },
    /// A token was issued; `again` where the same use had its token before.
    Issued {
        grant: usize,
        wish: Wish,
        again: bool,
    },
    /// Somebody revoked it; or it does not count any more, which is nobody's no.
    Revoked {
        grant: usize,
        somebody: bool,
    },
    HandedBack {
        grant: usize,
    },
}

/// The list, with the instant of each fact.
#[derive(Default)]
pub struct History {
    pub facts: Vec<(Time, Fact)>,
}

pub fn ms(seconds: u64) -> Time {
    Time::try_from(seconds).expect("a time") * 1_000
}

impl History {
    pub fn add(&mut self, fact: Fact) {
        let now = self.now();
        self.facts.push((now, fact));
    }

    /// The latest that the clock ever said: time does not go back.
    pub fn now(&self) -> Time {
        let said = |(_, fact): &(Time, Fact)| if let Fact::Clock(at) = fact { Some(*at) } else { None };
        self.facts.iter().filter_map(said).fold(0, Time::max)
    }

    /// Which policy is in force.
    pub fn policy(&self) -> usize {
        let named = |(_, fact): &(Time, Fact)| if let Fact::Policy(n) = fact { Some(*n) } else { None };
        self.facts.iter().filter_map(named).next_back().unwrap_or(0)
    }

    pub fn requests(&self) -> impl Iterator<Item = &Opened> {
        self.facts.iter().filter_map(|(_, fact)| if let Fact::Opened(opened) = fact { Some(opened) } else { None })
    }

    pub fn request(&self, n: usize) -> &Opened {
        self.requests().nth(n).expect("such a request")
    }

    pub fn grants(&self) -> impl Iterator<Item = &Granted> {
        self.facts.iter().filter_map(|(_, fact)| if let Fact::Granted(granted) = fact { Some(granted) } else { None })
    }

    pub fn grant(&self, n: usize) -> &Granted {
        self.grants().nth(n).expect("such a grant")
    }

    fn any(&self, is: impl Fn(&Fact) -> bool) -> bool {
        self.facts.iter().any(|(_, fact)| is(fact))
    }
}

/// Access requests.
impl History {
    /// Where one stands.
    pub fn status(&self, n: usize) -> &'static str {
        if self.any(|fact| matches!(fact, Fact::Denied { request } if *request == n)) {
            "denied"
        } else if self.any(|fact| matches!(fact, Fact::Withdrawn { request } if *request == n)) {
            "cancelled"
        } else if self.grants().any(|grant| grant.source == Source::Request(n)) {
            "approved"
        } else if self.now() >= self.request(n).decide_by {
            "expired"
        } else {
            "pending"
        }
    }

    fn agreements(&self, n: usize) -> impl Iterator<Item = (Scopes, u64)> {
        self.facts.iter().filter_map(move |(_, fact)| match fact {
            Fact::Agreed { request, take, seconds, .. } if *request == n => Some((*take, *seconds)),
            _ => None,
        })
    }

    /// What anybody took out, whether or not they stand by their approval.
    pub fn removed(&self, n: usize) -> Scopes {
        self.agreements(n).fold(0, |all, (take, _)| all | take)
    }

    /// What would be granted: what nobody took out.
    pub fn shown(&self, n: usize) -> Scopes {
        self.request(n).ruling.scopes & !self.removed(n)
    }

    /// For how long, in seconds, before anybody made it shorter.
    fn lasted(&self, n: usize) -> u64 {
        let Opened { wish, ruling, .. } = self.request(n);
        wish.lifetime.unwrap_or(u64::MAX).min(ruling.bounds.lasts)
    }

    /// For how long, in seconds: the shortest time that anybody named.
    pub fn lasts(&self, n: usize) -> u64 {
        self.agreements(n).fold(self.lasted(n), |least, (_, seconds)| least.min(seconds))
    }

    /// The version of what is shown counts up whenever somebody makes less of it.
    pub fn shown_version(&self, n: usize) -> u32 {
        let (mut version, mut before) = (1, (0, self.lasted(n)));
        for (take, seconds) in self.agreements(n) {
            let after = (before.0 | take, before.1.min(seconds));
            version += u32::from(after != before);
            before = after;
        }
        version
    }

    /// Who agrees: everybody who did and did not take it back.
    pub fn voices(&self, n: usize) -> Vec<Voice> {
        let mut all: Vec<Voice> = Vec::new();
        for (_, fact) in &self.facts {
            match fact {
                Fact::Agreed { request, voice, .. } if *request == n => all.push(*voice),
                Fact::TookBack { request, who } if *request == n => all.retain(|one| person(one.who) != person(*who)),
                _ => {}
            }
        }
        all
    }

    /// Who must agree: sets, and how many people of them.
    pub fn needs(&self, n: usize) -> Vec<(Sets, u8)> {
        self.request(n).question.left(self.removed(n))
    }

    /// Whether enough people agree.
    pub fn is_agreed(&self, n: usize) -> bool {
        enough(&self.needs(n), &self.voices(n), self.request(n).question.shared)
    }
}

/// Grants.
impl History {
    /// The call that a grant belongs to: the one that collected it, or the one it was made for.
    pub fn owner(&self, n: usize) -> &Wish {
        let collected = self.facts.iter().find_map(|(_, fact)| match fact {
            Fact::Collected { grant, wish } if *grant == n => Some(wish),
            _ => None,
        });
        collected.unwrap_or(&self.grant(n).wish)
    }

    /// Whether it was granted ahead and belongs to no call yet.
    pub fn is_open(&self, n: usize) -> bool {
        let is_ahead = match self.grant(n).source {
            Source::Request(request) => matches!(self.request(request).origin, Origin::Ahead(..)),
            Source::Allowed | Source::Glass => false,
        };
        is_ahead && !self.any(|fact| matches!(fact, Fact::Collected { grant, .. } if *grant == n))
    }

    /// Whether it may be used already.
    pub fn has_started(&self, n: usize) -> bool {
        let begins_later = match self.grant(n).source {
            Source::Request(request) => {
                matches!(self.request(request).origin, Origin::Ahead(_, Some(start)) if start > self.granted_at(n))
            }
            Source::Allowed | Source::Glass => false,
        };
        !begins_later || self.any(|fact| matches!(fact, Fact::Started { grant } if *grant == n))
    }

    fn granted_at(&self, n: usize) -> Time {
        let births = self.facts.iter().filter(|(_, fact)| matches!(fact, Fact::Granted(_)));
        births.map(|(at, _)| *at).nth(n).expect("such a grant")
    }

    /// The uses of a grant that count.
    pub fn uses(&self, n: usize) -> impl DoubleEndedIterator<Item = (Time, &Wish)> {
        self.facts.iter().filter_map(move |(at, fact)| match fact {
            Fact::Issued { grant, wish, again: false } if *grant == n => Some((*at, wish)),
            _ => None,
        })
    }

    /// Whether a call is a use of this grant that counted before: the same identifier, or without one the very same
    /// call within a minute of the last use.
    pub fn is_again(&self, n: usize, wish: &Wish) -> bool {
        if wish.call.is_none() {
            let same = |other: &Wish| (other.kind(), other.scopes) == (wish.kind(), wish.scopes);
            return self.uses(n).next_back().is_some_and(|(at, last)| same(last) && self.now() - at < 60_000);
        }
        let answered = self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::Issued { grant, wish: other, .. } if (other.hook, other.call) == (wish.hook, wish.call) => {
                Some(*grant)
            }
            _ => None,
        });
        answered == Some(n)
    }

    /// Where one stands.
    pub fn grant_status(&self, n: usize) -> &'static str {
        let (born, used, now) = (self.grant(n), self.uses(n).count(), self.now());
        if self.any(|fact| matches!(fact, Fact::Revoked { grant, .. } if *grant == n)) {
            "revoked"
        } else if self.any(|fact| matches!(fact, Fact::HandedBack { grant } if *grant == n)) {
            "handed back"
        } else if born.bounds.uses.is_some_and(|most| used >= most as usize) {
            "used up"
        } else if used == 0 && now >= born.collect_by && born.collect_by < born.until {
            "uncollected"
        } else if now >= born.until {
            "expired"
        } else if used == 0 {
            "reserved"
        } else {
            "active"
        }
    }
}
