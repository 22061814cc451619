//! Goal: a box that joins or leaves a site of 2 to 40 moves no more than 1.1 times its share of the
//! bytes, whatever the sizes of the boxes, with copies and rungs as in a real site. Method: seeded
//! catalogs, placed before and after; the seed is in every message.

use fill_plan::{Candidate, Holdings, Knobs, Library, Room, Seat, Shelf, name_key, place};

const GB: u64 = 1 << 30;
/// Most bytes that may move, over the share of the box that comes or goes.
const MOVED_MAX: f64 = 1.1;

/// A catalog of titles of a core and three rungs.
fn catalog(titles: usize, seed: u64) -> (Library, Vec<Candidate>) {
    let drawn = |what: &str, at: usize| name_key(&format!("{seed}-{what}-{at}"));
    let length = |at: usize| 1 + drawn("length", at) % 3;
    let size = |object: usize| GB / 8 * [1, 4, 8, 24][object % 4] * length(object / 4);
    let sizes: Vec<u64> = (0..titles * 4).map(size).collect();
    let mut library = Library::new(sizes.clone());
    let mut candidates = Vec::new();
    for title in 0..titles {
        let key = drawn("title", title);
        let plays = 500.0 / (1.0 + (drawn("rank", title) % titles as u64) as f64).powf(0.84);
        let parts = [(vec![0, 2], 0.6), (vec![1], 0.2), (vec![3], 0.2)];
        let core = candidates.len() as u32;
        for (at, (part, share)) in parts.into_iter().enumerate() {
            let objects: Vec<u32> = part.iter().map(|one| (title * 4 + one) as u32).collect();
            let bytes: u64 = objects.iter().map(|one| sizes[*one as usize]).sum();
            let parcel = library.push(key, &objects);
            let demand = plays * share * bytes as f64;
            candidates.push(Candidate { parcel, demand, core: (at > 0).then_some(core) });
        }
    }
    (library, candidates)
}

fn seat(name: &str, objects: usize, bytes: u64) -> Seat {
    let room = Room { ssd: bytes / 10, hdd: bytes - bytes / 10 };
    let key = name_key(name);
    Seat { key, room, largest: room, held: Holdings::none(objects), ..Seat::default() }
}

/// The boxes hold what their shelves say.
fn carry_out(library: &Library, seats: &mut [Seat], shelves: &[Shelf]) {
    for (seat, shelf) in seats.iter_mut().zip(shelves) {
        seat.held = Holdings::none(library.objects());
        shelf.iter().for_each(|spot| seat.held.put(spot.object, spot.class));
    }
}

/// Bytes of `shelves` that the boxes have not, of the objects that `counts`.
fn fetched(
    library: &Library,
    seats: &[Seat],
    shelves: &[Shelf],
    counts: impl Fn(u32) -> bool,
) -> u64 {
    let lacking = seats.iter().zip(shelves).flat_map(|(seat, shelf)| {
        shelf.iter().map(|spot| spot.object).filter(|object| seat.held.class(*object).is_none())
    });
    lacking.filter(|object| counts(*object)).map(|object| library.size(object)).sum()
}

/// A site of `boxes`, the largest at most `spread` times the smallest, with `storage` of a catalog.
struct Site {
    boxes: usize,
    spread: u64,
    storage: f64,
    seed: u64,
}

impl Site {
    /// What moves when a box leaves, and what when it comes back empty, each over the bytes of the
    /// site and over the share of the box.
    fn moved(&self, knobs: &Knobs) -> (f64, f64) {
        let Self { boxes, spread, storage, seed } = *self;
        let (library, candidates) = catalog(boxes * 120, seed);
        let catalog: u64 = (0..library.objects() as u32).map(|object| library.size(object)).sum();
        let part = |at: usize| 1 + name_key(&format!("{seed}-part-{at}")) % spread;
        let parts: u64 = (0..boxes).map(part).sum();
        let room = |at: usize| (catalog as f64 * storage * part(at) as f64 / parts as f64) as u64;
        let new = |at: usize| seat(&format!("box-{seed}-{at}"), library.objects(), room(at));
        let mut seats: Vec<Seat> = (0..boxes).map(new).collect();
        let shelves = place(&library, &candidates, &seats, knobs);
        carry_out(&library, &mut seats, &shelves);
        let objects = seats.iter().flat_map(|seat| seat.held.iter());
        let all: u64 = objects.map(|(object, _)| library.size(object)).sum();

        let leaver = (name_key(&format!("{seed}-leaver")) % boxes as u64) as usize;
        let gone = seats.remove(leaver);
        let share = gone.room.total() as f64 / (catalog as f64 * storage);
        let of_share = |bytes: u64| bytes as f64 / all as f64 / share;
        let shelves = place(&library, &candidates, &seats, knobs);
        let left = fetched(&library, &seats, &shelves, |_| true);
        carry_out(&library, &mut seats, &shelves);

        // It comes back empty. What the site then has room for anew was nowhere before.
        let before = seats.clone();
        let was_there = |object| before.iter().any(|seat| seat.held.class(object).is_some());
        seats.insert(leaver, Seat { held: Holdings::none(library.objects()), ..gone });
        let shelves = place(&library, &candidates, &seats, knobs);
        let joined = fetched(&library, &seats, &shelves, was_there);
        (of_share(left), of_share(joined))
    }
}

#[test]
fn a_box_of_any_size_moves_its_own_share_in_a_site_of_any_size() {
    let single = Knobs { hot_share: 0.0, copy_spread: 0.0, ..Knobs::default() };
    let sizes = [(2, 1), (3, 4), (4, 8), (6, 1), (9, 8), (14, 1), (22, 4), (40, 1)];
    for (boxes, spread) in sizes {
        for (knobs, kind) in [(&single, "one copy"), (&Knobs::default(), "copies")] {
            let seed = boxes as u64 * 100 + spread;
            let (left, joined) = Site { boxes, spread, storage: 0.25, seed }.moved(knobs);
            let site = format!("{boxes} boxes of 1 to {spread}, {kind}, seed {seed}");
            println!("{site}: leaving moves {left:.2} of its share, joining {joined:.2}");
            assert!(left <= MOVED_MAX, "{site}: leaving moved {left:.2} of 1/N");
            assert!(joined <= MOVED_MAX, "{site}: joining moved {joined:.2} of 1/N");
        }
    }
}
