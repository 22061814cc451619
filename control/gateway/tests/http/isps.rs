//! ISPs' own keys: what they open, what they do not, and that they end when revoked.

use control_client::{ClientError, ControlClient, Credential};
use control_types::fill::{NewWindow, WindowScope};
use control_types::fleet::{Drains, Health};
use control_types::schedule::{MaintenanceSchedule, Weekday, WindowSchedule};
use control_types::{ErrorWord, WindowId};

use crate::lab::Lab;

async fn key_of(lab: &Lab, isp: &str) -> ControlClient {
    let made = lab.operator().make_isp_key(&isp.parse().unwrap()).await.unwrap();
    lab.nobody().with_credential(Credential::Operator(made.key))
}

fn window(id: &str, scope: WindowScope) -> NewWindow {
    NewWindow {
        id: id.parse().unwrap(),
        scope,
        opens_at: None,
        length_ms: 3_600_000,
        rate_bps_max: None,
        bytes_max: None,
    }
}

fn schedule(id: &str, scope: WindowScope) -> WindowSchedule {
    WindowSchedule {
        id: id.parse().unwrap(),
        scope,
        start: "02:00".to_owned(),
        length_ms: 3_600_000,
        days: vec![Weekday::Mon],
        time_zone: "Europe/Lisbon".to_owned(),
        except: Vec::new(),
        rate_bps_max: None,
        bytes_max: None,
    }
}

fn scopes(site: &str, isp: &str, appliance: &str) -> [WindowScope; 3] {
    [
        WindowScope::Site(site.parse().unwrap()),
        WindowScope::Isp(isp.parse().unwrap()),
        WindowScope::Appliance(appliance.parse().unwrap()),
    ]
}

fn forbidden<T: std::fmt::Debug>(answer: Result<T, ClientError>) {
    assert_eq!(answer.unwrap_err().word(), Some(ErrorWord::Forbidden));
}

fn name(id: &str) -> WindowId {
    id.parse().unwrap()
}

#[tokio::test]
async fn an_isp_opens_and_changes_windows_of_its_own_sites_only() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let (ours, theirs) = (key_of(&lab, "isp-a").await, key_of(&lab, "isp-b").await);

    for (at, scope) in scopes("here", "isp-a", "edge-a1").into_iter().enumerate() {
        ours.open_window(&window(&format!("w{at}"), scope.clone())).await.unwrap();
        ours.put_schedule(&schedule(&format!("s{at}"), scope.clone())).await.unwrap();
        forbidden(theirs.open_window(&window("stolen", scope.clone())).await);
        forbidden(theirs.put_schedule(&schedule("stolen", scope)).await);
    }
    forbidden(ours.open_window(&window("all", WindowScope::Everyone)).await);
    let nowhere = WindowScope::Site("nowhere".parse().unwrap());
    forbidden(ours.open_window(&window("nowhere", nowhere)).await);

    // Another's names cannot be closed, removed or taken over.
    let far = WindowScope::Site("far".parse().unwrap());
    forbidden(theirs.close_window(&name("w0")).await);
    forbidden(theirs.close_window(&name("s0")).await);
    forbidden(theirs.remove_schedule(&name("s0")).await);
    forbidden(theirs.put_schedule(&schedule("s0", far.clone())).await);
    assert!(theirs.windows().await.unwrap().is_empty());
    assert!(theirs.schedules().await.unwrap().is_empty());

    lab.operator().open_window(&window("all", WindowScope::Everyone)).await.unwrap();
    let seen = theirs.windows().await.unwrap();
    assert_eq!(seen.len(), 1, "what reaches its sites is seen: {seen:?}");
    forbidden(theirs.close_window(&name("all")).await);
    assert_eq!(ours.schedules().await.unwrap().len(), 3);
    ours.close_window(&name("w0")).await.unwrap();
    ours.close_window(&name("s1")).await.unwrap();
    ours.remove_schedule(&name("s0")).await.unwrap();
    lab.operator().remove_schedule(&name("s1")).await.unwrap();
}

#[tokio::test]
async fn an_isp_sees_and_drains_its_own_appliances_only() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let (ours, theirs) = (key_of(&lab, "isp-a").await, key_of(&lab, "isp-b").await);
    let names = async |client: &ControlClient| {
        let fleet = client.appliances().await.unwrap();
        fleet.into_iter().map(|status| status.record.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&ours).await, ["edge-a1", "edge-a2"]);
    assert_eq!(names(&theirs).await, ["origin"]);
    assert_eq!(theirs.sites().await.unwrap().len(), 1);
    assert!(ours.fills().await.unwrap().is_empty());

    let edge = "edge-a1".parse().unwrap();
    forbidden(theirs.drain(&edge).await);
    forbidden(theirs.drain(&"no-such".parse().unwrap()).await);
    ours.drain(&edge).await.unwrap();
    assert!(lab.operator().appliances().await.unwrap()[0].drain);
    forbidden(theirs.undrain(&edge).await);
    ours.undrain(&edge).await.unwrap();
    let drains = async || lab.operator().appliances().await.unwrap()[0].drains;

    // Each takes back its own wish only, and both see whose stands.
    lab.operator().drain(&edge).await.unwrap();
    let error = ours.undrain(&edge).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict), "{error}");
    assert_eq!(drains().await, Drains { operator: true, isp: false });
    ours.drain(&edge).await.unwrap();
    assert_eq!(ours.appliances().await.unwrap()[0].drains, Drains { operator: true, isp: true });
    lab.operator().undrain(&edge).await.unwrap();
    assert_eq!(drains().await, Drains { operator: false, isp: true });
    let status = &lab.operator().appliances().await.unwrap()[0];
    assert!(status.drain && status.health == Health::Draining, "{status:?}");
    ours.undrain(&edge).await.unwrap();
    assert_eq!(drains().await, Drains::default());

    // What belongs to the operator stays the operator's.
    forbidden(ours.titles().await);
    forbidden(ours.remove_appliance(&edge).await);
    forbidden(ours.make_isp_key(&"isp-a".parse().unwrap()).await);
    forbidden(ours.fill_state().await);
}

#[tokio::test]
async fn maintenance_that_comes_again_is_its_maker_s() {
    let lab = Lab::start().await;
    lab.fleet(&[]).await;
    let (ours, theirs) = (key_of(&lab, "isp-a").await, key_of(&lab, "isp-b").await);
    let every_day = || {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun]
    };
    // All day, every day: under way whatever the time is.
    let rule = |id: &str, scope: WindowScope| MaintenanceSchedule {
        id: id.parse().unwrap(),
        scope,
        start: "00:00".to_owned(),
        length_ms: 24 * 3_600_000,
        days: every_day(),
        time_zone: "Europe/Lisbon".to_owned(),
        except: Vec::new(),
    };
    let edge = || WindowScope::Appliance("edge-a1".parse().unwrap());
    forbidden(theirs.put_maintenance(&rule("power", edge())).await);
    let made = ours.put_maintenance(&rule("power", edge())).await.unwrap();
    assert_eq!(made.by, Some("isp-a".parse().unwrap()));
    let until = made.next.unwrap().until;
    let fleet = lab.operator().appliances().await.unwrap();
    let healths: Vec<Health> = fleet.iter().map(|one| one.health).collect();
    assert_eq!(healths, [Health::Draining, Health::Healthy, Health::Healthy]);
    assert_eq!(fleet[0].maintained_until, Some(until));
    assert!(!fleet[0].drain, "nobody asked for a drain");

    assert!(theirs.maintenance().await.unwrap().is_empty());
    forbidden(theirs.remove_maintenance(&name("power")).await);
    let site = WindowScope::Site("here".parse().unwrap());
    lab.operator().put_maintenance(&rule("uplink", site)).await.unwrap();
    assert_eq!(ours.maintenance().await.unwrap().len(), 2, "it is seen where it reaches");
    forbidden(ours.remove_maintenance(&name("uplink")).await);
    forbidden(ours.put_maintenance(&rule("uplink", edge())).await);
    let everyone = lab.operator().put_maintenance(&rule("all", WindowScope::Everyone)).await;
    assert_eq!(everyone.unwrap_err().word(), Some(ErrorWord::BadRequest));
    let nowhere = MaintenanceSchedule { time_zone: "Mars".to_owned(), ..rule("mars", edge()) };
    let error = ours.put_maintenance(&nowhere).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::BadRequest), "{error}");

    ours.remove_maintenance(&name("power")).await.unwrap();
    lab.operator().remove_maintenance(&name("uplink")).await.unwrap();
    let gone = lab.operator().remove_maintenance(&name("uplink")).await.unwrap_err();
    assert_eq!(gone.word(), Some(ErrorWord::NotFound));
    let fleet = lab.operator().appliances().await.unwrap();
    assert!(fleet.iter().all(|one| one.health == Health::Healthy), "{fleet:?}");
}

#[tokio::test]
async fn keys_are_replaced_without_a_gap_and_survive_a_restart() {
    let mut lab = Lab::start().await;
    lab.site("here", "isp-a", &[]).await;
    let unknown = lab.operator().make_isp_key(&"isp-z".parse().unwrap()).await.unwrap_err();
    assert_eq!(unknown.word(), Some(ErrorWord::NotFound));
    let isp = "isp-a".parse().unwrap();
    let old = lab.operator().make_isp_key(&isp).await.unwrap();
    let new = lab.operator().make_isp_key(&isp).await.unwrap();
    let listed = lab.operator().isp_keys().await.unwrap();
    assert_eq!(listed.len(), 2);
    lab.restart().await;
    let with = |key: &str| lab.nobody().with_credential(Credential::Operator(key.to_owned()));
    with(&old.key).windows().await.unwrap();
    lab.operator().revoke_isp_key(&old.id).await.unwrap();
    let error = with(&old.key).windows().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
    with(&new.key).windows().await.unwrap();
    let gone = lab.operator().revoke_isp_key(&old.id).await.unwrap_err();
    assert_eq!(gone.word(), Some(ErrorWord::NotFound));
}
