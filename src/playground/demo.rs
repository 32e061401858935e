//! The people, groups and channels that a newcomer meets in the demo.

use super::workspace::{Channel, ChannelKind, Group, Person, Team, Workspace};

/// The bot user of the demo's workspace.
const BOT: &str = "U0COUNTERSIGN";

impl Workspace {
    /// Acme's workspace: a requester, two approvers, an outsider from a partner's workspace and a guest.
    pub fn demo() -> Self {
        let team = Team {
            id: "T0ACME".to_owned(),
            domain: "acme-stand-in".to_owned(),
            name: "Acme (a stand-in for Slack)".to_owned(),
        };
        let mut workspace = Self::new(team, "A0COUNTERSIGN", BOT, people());
        workspace.partners.push(Team {
            id: "T0PARTNER".to_owned(),
            domain: "partner-stand-in".to_owned(),
            name: "Partner Ltd (a stand-in for Slack)".to_owned(),
        });
        for group in [group("S0PAYLEADS", "payments-leads", "Payments leads", &["U0BOB", "U0CAROL"]), on_call()] {
            workspace.groups.insert(group.id.clone(), group);
        }
        // Eve's company shares both channels: that is how an outsider comes to see a card at all.
        for channel in [
            channel("C0APPROVALS", "approvals", &["U0ALICE", "U0BOB", "U0CAROL", "U0EVE", BOT]),
            channel("C0PAYMENTS", "payments", &["U0ALICE", "U0BOB", "U0CAROL", "U0EVE", "U0GREG", BOT]),
        ] {
            workspace.channels.insert(channel.id.clone(), channel);
        }
        workspace
    }
}

fn people() -> Vec<Person> {
    let member = |id, name| Person::member("T0ACME", id, name, "example.com");
    let greg = member("U0GREG", "Greg Guest")
        .described("Contractor", "A guest of one channel: sees the card there, may not decide.");
    let bot = member(BOT, "Countersign").described("App", "Posts the cards.");
    vec![
        member("U0ALICE", "Alice Adler").described("Engineer", "Asks for access; may not approve her own request."),
        member("U0BOB", "Bob Berger")
            .described("Payments lead", "May approve refunds, payout accounts and signing keys."),
        member("U0CAROL", "Carol Chen")
            .described("Data owner, on call", "May approve exports, and refunds as a second lead."),
        Person::member("T0PARTNER", "U0EVE", "Eve Ellis", "partner.example")
            .described("Partner", "From another workspace: sees the card, may not decide."),
        Person { is_restricted: true, is_ultra_restricted: true, ..greg },
        Person { is_bot: true, email: None, is_email_confirmed: false, ..bot },
    ]
}

fn on_call() -> Group {
    group("S0ONCALL", "on-call", "On call", &["U0CAROL"])
}

fn group(id: &str, handle: &str, name: &str, users: &[&str]) -> Group {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Group { id: id.to_owned(), handle: handle.to_owned(), name: name.to_owned(), users }
}

fn channel(id: &str, name: &str, members: &[&str]) -> Channel {
    Channel {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: ChannelKind::Channel,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
        is_ext_shared: true,
        is_archived: false,
    }
}
