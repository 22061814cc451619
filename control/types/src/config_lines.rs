//! On which line of a TOML file a key stands, so that every program's config says its mistakes
//! alike. Does not parse TOML: the text was taken by a parser before, or a line is left unsaid.

/// Puts `line N: ` before each mistake that begins with a key of `text`, such as
/// `volume[1].class is "sd": …` or `listen.addr: is missing`. A key that is missing is told with
/// the line of its table; a mistake about no line stays as it is.
#[must_use]
pub fn with_lines(text: &str, mistakes: Vec<String>) -> Vec<String> {
    let places = places(text);
    let told = |mistake: String| match line_of(&places, key_of(&mistake)) {
        Some(line) => format!("line {line}: {mistake}"),
        None => mistake,
    };
    mistakes.into_iter().map(told).collect()
}

/// The key that a mistake begins with.
fn key_of(mistake: &str) -> &str {
    mistake.split_whitespace().next().unwrap_or_default().trim_end_matches(':')
}

/// The line of `key`, or else of the nearest table around it.
fn line_of(places: &[(String, usize)], key: &str) -> Option<usize> {
    let mut wanted = key;
    loop {
        if let Some((_, line)) = places.iter().find(|(place, _)| place == wanted) {
            return Some(*line);
        }
        wanted = wanted.rsplit_once('.')?.0;
    }
}

/// Every key and table of the file with its line, counted from 1.
fn places(text: &str) -> Vec<(String, usize)> {
    let mut places = Vec::new();
    let mut table = String::new();
    for (line, words) in (1..).zip(text.lines().map(str::trim)) {
        if let Some((name, _)) = words.strip_prefix("[[").and_then(|rest| rest.split_once("]]")) {
            let name = name.trim();
            let begins = format!("{name}[");
            let before = places.iter().filter(|(place, _): &&(String, usize)| {
                place.strip_prefix(&begins).is_some_and(|rest| rest.ends_with(']'))
            });
            table = format!("{name}[{}]", before.count());
            places.push((table.clone(), line));
        } else if let Some((name, _)) =
            words.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        {
            table = name.trim().to_owned();
            places.push((table.clone(), line));
        } else if let Some((key, _)) = words.split_once('=')
            && !words.starts_with('#')
        {
            let key = key.trim().trim_matches('"');
            let dot = if table.is_empty() { "" } else { "." };
            places.push((format!("{table}{dot}{key}"), line));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::with_lines;

    fn check(text: &str, mistake: &str, told: &str) {
        assert_eq!(with_lines(text, vec![mistake.to_owned()]), [told], "{text}");
    }

    #[test]
    fn a_mistake_is_told_with_the_line_of_its_key() {
        let text = "nmae = 1 # x = 2\n# port = 3\n[listen]\n port=4\n\n[[volume]]\npath = \"=\"\n\
                    [[volume]]\n\"path\" = \"b\"\n[tls]\n[[tls.certificate]]\ncert = 5\n";
        check(text, "nmae is not a key", "line 1: nmae is not a key");
        check(text, "listen.port is 4", "line 4: listen.port is 4");
        check(text, "volume[0].path is \"=\"", "line 7: volume[0].path is \"=\"");
        check(text, "volume[1].path: is bad", "line 9: volume[1].path: is bad");
        check(text, "tls.certificate[0].cert is 5", "line 12: tls.certificate[0].cert is 5");
        check(text, "volume[1] is odd", "line 8: volume[1] is odd");
    }

    #[test]
    fn a_missing_key_is_told_with_its_table_and_nothing_is_made_up() {
        let text = "[listen]\nmedia = 1\n[bgp.router]\n[store]\nat = { path = 1 }\n";
        check(text, "listen.admin is missing", "line 1: listen.admin is missing");
        check(text, "store.at.path is 1", "line 5: store.at.path is 1");
        check(text, "state_dir is missing", "state_dir is missing");
        check(text, "two disks are one", "two disks are one");
        check("", "", "");
    }
}
