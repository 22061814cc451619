//! Story: sources that are no video, empty, truncated, silent or absent.
//! Each is refused with the file's name and a cure, and the catalog stays as it was.

use std::path::PathBuf;

use nightfill_harness::{Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn broken_sources_are_refused_by_name() -> Result<(), Trouble> {
    let world = World::start(WorldPlan { boxes: vec![], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 4)?;
    let whole = std::fs::read(&clip)?;
    let put = |name: &str, bytes: &[u8]| -> Result<PathBuf, Trouble> {
        let path = world.folder.join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let mut torn = whole.clone();
    // A third of the file: long enough to run over packet boundaries, where no decoder can guess
    // on.
    let third = torn.len() / 3;
    torn[third..2 * third].fill(0);
    let broken = [
        put("zero.mp4", b"")?,
        put("text.mp4", b"this is a shopping list, not a film\n")?,
        put("truncated.mp4", &whole[..whole.len() / 2])?,
        put("torn.mp4", &torn)?,
        world.folder.join("absent.mp4"),
    ];
    for path in &broken {
        let name = path.file_name().expect("each path has a name").to_string_lossy().into_owned();
        let refusal = world.run_ingest("broken", "Broken", path, &[]);
        let said = refusal.expect_err(&format!("{name} was taken")).to_string();
        assert!(said.contains(&name), "the refusal names {name}: {said}");
        assert!(said.len() > 40, "the refusal says what is wrong and the cure: {said}");
    }
    assert!(world.control.client.titles().await?.is_empty(), "nothing was registered");
    assert!(world.origin.published()?.is_empty(), "nothing was published");

    world.ingest("harbour", "Harbour at Night", &clip).await?;
    assert_eq!(world.control.client.titles().await?.len(), 1, "a whole source is still taken");
    Ok(())
}
