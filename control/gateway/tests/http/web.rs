//! The pages: which file answers which path, what browsers may keep, what pages may load.

use crate::lab::{Lab, Plan};

async fn lab() -> (Lab, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html>viewer"),
        ("console/index.html", "<!doctype html>console"),
        ("assets/app-1234.js", "let viewer"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let web_dir = Some(folder.path().to_owned());
    (Lab::start_with(Plan { web_dir, ..Plan::default() }).await, folder)
}

#[tokio::test]
async fn each_path_has_its_page() {
    let (lab, _folder) = lab().await;
    let check = async |path: &str, status: u16, text: &str| {
        let answer = reqwest::get(format!("{}{path}", lab.url)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(text), "{path}: {body}");
    };
    check("/", 200, "viewer").await;
    check("/titles/night", 200, "viewer").await;
    check("/console/", 200, "console").await;
    check("/console/fleet", 200, "console").await;
    check("/console", 200, "console").await;
    check("/assets/app-1234.js", 200, "let viewer").await;
    check("/assets/gone.js", 404, "not_found").await;
    check("/v1/nowhere", 404, "not_found").await;
    check("/../../../etc/passwd", 200, "viewer").await;
    check("/%2e%2e/%2e%2e/etc/passwd.txt", 404, "not_found").await;
}

#[tokio::test]
async fn pages_are_asked_for_again_and_assets_are_kept() {
    let (lab, _folder) = lab().await;
    let page = reqwest::get(format!("{}/", lab.url)).await.unwrap();
    assert_eq!(page.headers()["cache-control"], "no-cache");
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    for part in ["worker-src 'self' blob:", "media-src 'self' https:", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    let asset = reqwest::get(format!("{}/assets/app-1234.js", lab.url)).await.unwrap();
    assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    assert_eq!(asset.headers()["x-content-type-options"], "nosniff");
    let posted = reqwest::Client::new().post(format!("{}/titles/night", lab.url)).send().await;
    assert_eq!(posted.unwrap().status(), 405);
}
