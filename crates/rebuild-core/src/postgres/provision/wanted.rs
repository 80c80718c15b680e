//! What a new database is to be like: what was asked for, and the rest from its model.

use super::ProvisionOptions;
use super::create::Locale;
use super::grants::Grant;
use super::settings::Setting;
use crate::error::Result;
use crate::model::DatabaseFacts;

/// Everything that is set on the new database; what is `None` is left to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) template: String,
    pub(super) locale: Locale,
    pub(super) tablespace: Option<String>,
    pub(super) connection_limit: Option<i32>,
    pub(super) owner: Option<String>,
    pub(super) settings: Vec<Setting>,
    /// The model's owner, whose place in `acl` is taken by the new owner.
    pub(super) acl_owner: Option<String>,
    /// Grants as `aclitem` text; `None` is the built-in default.
    pub(super) acl: Option<Vec<String>>,
    pub(super) grants: Vec<Grant>,
    pub(super) extensions: Vec<String>,
}

impl Wanted {
    /// Puts `options` over `like`.
    ///
    /// # Errors
    /// A grant cannot be read.
    pub(super) fn new(options: &ProvisionOptions, like: Option<&DatabaseFacts>) -> Result<Self> {
        let of = |given: &Option<String>, fact: fn(&DatabaseFacts) -> &String| {
            given.clone().or_else(|| like.map(|f| fact(f).clone()))
        };
        Ok(Self {
            template: template(options).to_owned(),
            locale: locale(options, like),
            tablespace: of(&options.tablespace, |f| &f.tablespace),
            connection_limit: options
                .connection_limit
                .or_else(|| like.map(|f| f.connection_limit))
                // Anything below -1 says that the model is broken, and is no limit.
                .map(|limit| limit.max(-1)),
            owner: of(&options.owner, |f| &f.owner),
            settings: settings(options, like)?,
            acl_owner: like.map(|f| f.owner.clone()),
            acl: like.and_then(|f| f.acl.clone()),
            grants: options
                .grants
                .iter()
                .map(|text| Grant::parse(text))
                .collect::<Result<_>>()?,
            extensions: options.extensions.clone(),
        })
    }
}

/// The database that is copied.
pub(super) fn template(options: &ProvisionOptions) -> &str {
    options.template.as_deref().unwrap_or("template0")
}

/// A provider's locale and rules mean nothing to another provider, so they come along only with
/// the model's own.
fn locale(options: &ProvisionOptions, like: Option<&DatabaseFacts>) -> Locale {
    let provider = options
        .locale_provider
        .clone()
        .or_else(|| like.map(|f| f.locale_provider.clone()));
    let same = like.filter(|f| Some(&f.locale_provider) == provider.as_ref());
    let own = options.icu_locale.is_some();
    Locale {
        encoding: options
            .encoding
            .clone()
            .or_else(|| like.map(|f| f.encoding.clone())),
        collate: options
            .locale
            .clone()
            .or_else(|| like.map(|f| f.collate.clone())),
        ctype: options
            .ctype
            .clone()
            .or_else(|| options.locale.clone())
            .or_else(|| like.map(|f| f.ctype.clone())),
        provider_locale: options
            .icu_locale
            .clone()
            .or_else(|| same.and_then(|f| f.locale.clone())),
        rules: same.filter(|_| !own).and_then(|f| f.icu_rules.clone()),
        provider,
    }
}

/// A default of read-only does not come along from the model: while the run lasts it is most
/// likely the run's own gate, and the new database must be filled.
fn settings(options: &ProvisionOptions, like: Option<&DatabaseFacts>) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (role, text) in like.iter().flat_map(|f| &f.settings) {
        let setting = Setting::stored(role.clone(), text)?;
        let gate = role.is_none() && setting.is("default_transaction_read_only");
        let replaced = role.is_none() && options.settings.iter().any(|(n, _)| setting.is(n));
        if !gate && !replaced {
            settings.push(setting);
        }
    }
    for (name, value) in &options.settings {
        settings.push(Setting::given(name, value));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    fn like() -> DatabaseFacts {
        DatabaseFacts {
            identity: Identity {
                server: "1".into(),
                name: "app".into(),
                uid: "16384".into(),
            },
            owner: "app_owner".into(),
            encoding: "UTF8".into(),
            collate: "en_US.UTF-8".into(),
            ctype: "en_US.UTF-8".into(),
            locale_provider: "icu".into(),
            locale: Some("de".into()),
            icu_rules: Some("& a < b".into()),
            collation_versions: (None, None),
            tablespace: "pg_default".into(),
            connection_limit: -2,
            is_template: false,
            comment: Some("the app".into()),
            acl: None,
            settings: vec![
                (None, "work_mem=8MB".into()),
                (None, "default_transaction_read_only=on".into()),
                (Some("app".into()), "work_mem=4MB".into()),
            ],
            bytes: 0,
        }
    }

    #[test]
    fn what_is_given_goes_before_the_model() {
        let same = Wanted::new(&ProvisionOptions::default(), Some(&like())).expect("fine");
        assert_eq!(same.locale.provider_locale.as_deref(), Some("de"));
        assert_eq!(same.locale.rules.as_deref(), Some("& a < b"));
        assert_eq!(same.connection_limit, Some(-1));
        assert_eq!(same.settings.len(), 2, "the gate stays behind");

        let options = ProvisionOptions {
            locale: Some("C".into()),
            locale_provider: Some("libc".into()),
            owner: Some("somebody".into()),
            settings: vec![("Work_Mem".into(), "1MB".into())],
            ..ProvisionOptions::default()
        };
        let other = Wanted::new(&options, Some(&like())).expect("fine");
        assert_eq!(other.locale.collate.as_deref(), Some("C"));
        assert_eq!(other.locale.ctype.as_deref(), Some("C"));
        assert_eq!(other.locale.provider_locale, None);
        assert_eq!(other.locale.rules, None);
        assert_eq!(other.owner.as_deref(), Some("somebody"));
        assert_eq!(
            other.settings,
            [
                Setting::stored(Some("app".into()), "work_mem=4MB").expect("fine"),
                Setting::given("Work_Mem", "1MB"),
            ]
        );
    }
}
