//! Goal: boxes near capacity let go of members as control would have them let go, with control gone
//! and the loads heard from the boxes themselves. Method: control's own answers over loaded fleets,
//! kept by its test in `bundle_loads.json`, against ours from its bundles.

use std::collections::BTreeMap;
use std::sync::Arc;

use control_types::UnixMillis;
use control_types::bundle::SteeringBundle;
use serde::Deserialize;

use super::{asked, bundle, own};
use crate::limits::WITNESS_EVERY;
use crate::sovereign::{Ask, Hint, Look, Outlook, Own, Reply, Table, Watch, answer};

#[derive(Deserialize)]
struct Case {
    loads: BTreeMap<String, u32>,
    bundle: SteeringBundle,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    title: String,
    play: String,
    current: Option<String>,
    list: Vec<String>,
}

fn cases() -> Vec<Case> {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../control/steering/tests/bundle_loads.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn outlook(case: &Case, own: &str) -> Outlook {
    let table = Arc::new(Table::new(case.bundle.clone(), &own.parse().unwrap()).unwrap());
    let load = |id: &str| case.loads.get(id).copied().unwrap_or(0);
    let hints = table.candidates.iter().map(|one| Some(Hint::Load(load(one.id.as_str()))));
    Outlook {
        hints: hints.collect(),
        sightings: Vec::new(),
        own: Own { load_per_mille: load(own), ..Own::default() },
        loads_count: false,
        control_is_there: false,
        steps: Vec::new(),
        table,
    }
}

fn list(outlook: &Outlook, question: &Question) -> Vec<String> {
    let title = question.title.parse().unwrap();
    let address = "10.0.0.1".parse().unwrap();
    let reply = Reply {
        address,
        title: &title,
        subject: &question.play,
        ticket: None,
        issued_at: None,
        is_ending: false,
        now: UnixMillis(0),
    };
    let query = question.current.as_ref().map(|current| format!("_HLS_pathway={current}"));
    let text = answer(outlook, &reply, &Ask::of(query.as_deref())).unwrap();
    let told: control_types::play::SteeringManifest = serde_json::from_slice(&text).unwrap();
    told.pathway_priority
}

#[test]
fn near_capacity_every_box_answers_as_control_would() {
    let mut differs = 0;
    for (number, case) in cases().iter().enumerate() {
        for own in ["n1", "n4", "f2"] {
            let outlook = outlook(case, own);
            for question in &case.questions {
                let (told, wanted) = (list(&outlook, question), &question.list);
                assert_eq!(&told, wanted, "case {number} at {own}: {question:?}");
            }
            let blind = Outlook { hints: Vec::new(), own: Own::default(), ..outlook };
            let is_other = |one: &&Question| list(&blind, one) != one.list;
            differs += case.questions.iter().filter(is_other).count();
        }
    }
    assert!(differs > 100, "without hints it is another list for many: {differs}");
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} at {:?}", self.title, self.play, self.current)
    }
}

/// Who says nothing keeps what the hash gives it and is passed nothing more; who says that he is
/// loaded loses, who says so of everybody changes nothing.
#[test]
fn a_hint_pushes_load_off_its_sender_and_draws_none_from_where_there_is_room() {
    let mut many = bundle();
    for number in 0..300 {
        let held = many.titles[&"night".parse().unwrap()].clone();
        many.titles.insert(format!("title-{number}").parse().unwrap(), held);
    }
    let table = Arc::new(Table::new(many, &"edge-b1".parse().unwrap()).unwrap());
    let firsts = |hints: [Option<Hint>; 2]| {
        let outlook = Outlook {
            table: Arc::clone(&table),
            sightings: Vec::new(),
            hints: hints.to_vec(),
            own: Own::default(),
            loads_count: false,
            control_is_there: false,
            steps: Vec::new(),
        };
        let first = |number| {
            let told = asked(&outlook, "10.0.0.1", &format!("title-{number}"), "").unwrap();
            told.pathway_priority[0].clone()
        };
        let firsts: Vec<String> = (0..300).map(first).collect();
        ["edge-a1", "edge-a2"].map(|id| firsts.iter().filter(|first| *first == id).count())
    };
    let says = |load| Some(Hint::Load(load));
    let usual = firsts([None, None]);
    assert!(usual.iter().all(|count| *count > 100), "{usual:?}");
    assert_eq!(firsts([says(100), None]), usual, "nobody is passed on to who says nothing");
    assert_eq!(firsts([None, says(0)]), usual, "an idle one draws nothing from who says nothing");
    assert_eq!(firsts([says(300), says(300)]), usual);
    assert_eq!(firsts([says(4_000), says(4_000)]), [0, 0], "the next site has room");
    let pushed = firsts([says(600), says(100)]);
    assert!(pushed[0] < 10 && pushed[0] + pushed[1] == 300, "{pushed:?}");
    assert_eq!(firsts([says(960), says(100)]), [0, 300], "full");
    assert_eq!(firsts([Some(Hint::Leave), None]), [0, 300], "it drains, or is sick");
    let all = firsts([Some(Hint::Leave), Some(Hint::Leave)]);
    assert_eq!(all, [0, 0], "then the next site is there");
}

#[test]
fn a_load_is_believed_while_its_sender_is_looked_at_and_of_nobody_else() {
    let table = Table::new(bundle(), &own()).unwrap();
    let mut watch = Watch::default();
    watch.follow(&table);
    let (near, far) = ("https://edge-a2.example", "https://edge-b1.example");
    let look = |load| Look { hint: Some(Hint::Load(load)), ..Look::ANSWER };
    assert!(!watch.due(true).is_empty());
    watch.note(near, look(400));
    watch.note(far, look(500));
    watch.note("https://stranger.example", look(0));
    assert!(!watch.note(near, look(450)), "a load alone is no change of who is there");
    let hints = |watch: &Watch| watch.hints(&table, false);
    let says = |load| Some(Hint::Load(load));
    assert_eq!(hints(&watch), [None, says(450), says(500), None, None, None]);
    // A miss says nothing of loads; an answer of an older program says that it does not know.
    watch.note(near, Look::MISS);
    assert_eq!(hints(&watch)[1], says(450));
    watch.note(far, Look::ANSWER);
    assert_eq!(hints(&watch)[2], None);
    watch.note(far, look(510));
    watch.note("https://tier-1.example", look(20));
    for _ in 0..=WITNESS_EVERY {
        watch.due(true);
    }
    assert_eq!(hints(&watch)[4], says(20), "a witness is looked at now and then");
    // Control is back: the far ones are not looked at any more.
    watch.due(false);
    assert_eq!(hints(&watch), [None, says(450), None, None, None, None]);
    watch.follow(&table);
    assert_eq!(hints(&watch)[1], says(450), "a new bundle changes nothing here");
}
