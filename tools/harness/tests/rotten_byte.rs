//! Story: one byte of an object on an edge's disk turns.
//! The byte is never served, the object is put aside and fetched again, and then served right.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn a_turned_byte_is_never_served_and_is_mended() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan { boxes: vec![1], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 8)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    world.night().await?;
    let title = "harbour".parse()?;
    let state = world.control.client.fill_state().await?;
    let largest =
        state.objects.iter().max_by_key(|object| object.bytes).expect("has objects").object;
    let (path, payload_at) = world.edges[0].object_file(&largest)?;
    let file = std::fs::File::options().read(true).write(true).open(&path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, payload_at + 1000)?;
    file.write_all_at(&[byte[0] ^ 1], payload_at + 1000)?;
    file.sync_all()?;

    let library = world.library(&largest)?;
    eventually("the object is mended", Duration::from_secs(40), async || {
        match world.body(&world.edges[0], &title, &largest).await {
            Ok(body) => {
                assert_eq!(body, library, "a wrong byte was served");
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    })
    .await?;
    let found = world.edges[0].counter("nightfill_oca_bad_chunks_total").await?;
    assert!(found >= 1, "the bad chunk was counted");
    let quarantined = world.edges[0].volumes().iter().any(|volume| {
        std::fs::read_dir(volume.join("quarantine"))
            .is_ok_and(|mut entries| entries.next().is_some())
    });
    assert!(quarantined, "the bad file was put aside for people to look at");
    Ok(())
}
