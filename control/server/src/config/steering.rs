//! `[steering]`: who answers players' questions for steering, and how often the bundles are made
//! that appliances answer from. Makes none.

use control_gateway::ServedBy;
use control_steering::BundleSettings;

use super::section::Section;

/// What an operator may choose about steering without control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteeringConfig {
    /// Whom manifests and play answers send players to: `control` or `appliances`. Default control,
    /// which knows at once what bundles tell after `bundle_content_ms`; with appliances a play is
    /// sent to control where none has a bundle yet.
    pub served_by: ServedBy,
    /// Shortest time between two bundles of one ISP, milliseconds, 100 ms to 10 min. Default 5 s.
    pub bundle_ms: u64,
    /// The same when only content or load changed, milliseconds, 100 ms to 1 h. Default 60 s; never
    /// shorter than `bundle_ms`. Every bundle is fetched by all of the ISP's appliances.
    pub bundle_content_ms: u64,
}

pub(super) fn parse_steering(top: &mut Section) -> SteeringConfig {
    let mut steering =
        top.optional_section("steering").unwrap_or_else(|| Section::absent("steering"));
    let defaults = BundleSettings::default();
    let served_by = match steering.optional_text("served_by").as_deref() {
        None | Some("control") => ServedBy::Control,
        Some("appliances") => ServedBy::Appliances,
        Some(other) => {
            let why = format!("{other:?} is neither \"control\" nor \"appliances\"");
            steering.mistake("served_by", why);
            ServedBy::Control
        }
    };
    let bundle_ms = steering.number("bundle_ms", 100..=600_000, defaults.every_ms);
    let content_ms =
        steering.number("bundle_content_ms", 100..=3_600_000, defaults.content_every_ms);
    top.close(steering);
    SteeringConfig { served_by, bundle_ms, bundle_content_ms: content_ms.max(bundle_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (SteeringConfig, Vec<String>) {
        let mut top = Section::new(text.parse().unwrap());
        let config = parse_steering(&mut top);
        (config, top.finish())
    }

    #[test]
    fn without_a_word_control_steers_and_bundles_are_made_all_the_same() {
        let (config, mistakes) = parsed("");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!((config.served_by, config.bundle_ms), (ServedBy::Control, 5_000));
        assert_eq!(config.bundle_content_ms, 60_000);
    }

    #[test]
    fn what_is_said_counts_and_what_is_wrong_is_named() {
        let (config, mistakes) =
            parsed("[steering]\nserved_by = \"appliances\"\nbundle_ms = 120000\n");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!(config.served_by, ServedBy::Appliances);
        assert_eq!(config.bundle_content_ms, 120_000, "never more often than the others");
        let (_, mistakes) = parsed("[steering]\nserved_by = \"players\"\nbundle_ms = 1\nx = 2\n");
        let all = mistakes.join("\n");
        for part in ["steering.served_by", "players", "steering.bundle_ms", "steering.x"] {
            assert!(all.contains(part), "{part} is missing in:\n{all}");
        }
    }
}
