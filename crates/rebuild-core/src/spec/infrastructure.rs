//! `[[infrastructure]]`: a step that runs an infrastructure-as-code tool.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Within;
use crate::error::{Error, Result};
use crate::model::infrastructure::InfrastructureTool;

/// The value of a variable: text, a number, true or false, a list, or a table. It may be a secret:
/// it is passed on in the environment or in a file that the owner alone may read, and shown as
/// `***` where a program prints it.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct InfrastructureVariable(pub serde_json::Value);

impl fmt::Debug for InfrastructureVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[[infrastructure]]`: what a tool manages in one folder and one workspace, stack or release. It is
/// planned and shown with the rest of the plan, and applied right before the new database is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfrastructureSpec {
    /// Its name.
    pub name: String,
    /// Which tool: `tofu`, `terraform`, `pulumi` or `helm`. Another is never run in its place.
    pub tool: InfrastructureTool,
    /// The program, where it is not the tool's name in PATH; a relative path is relative to
    /// `folder`. It must be that tool all the same.
    #[serde(default)]
    pub program: Option<String>,
    /// The folder of the tool's files, relative to the spec.
    #[serde(default = "here")]
    pub folder: String,
    /// The workspace (tofu, terraform; without it `default`) or the stack (pulumi, which needs one).
    #[serde(default)]
    pub workspace: Option<String>,
    /// Whether a workspace or stack that does not exist is made when the run comes to it. What is done
    /// in it is then known only there, and not when the run is planned.
    #[serde(default)]
    pub create_workspace: bool,
    /// Only these resources and what they depend on: addresses for tofu and terraform, URNs for
    /// pulumi.
    #[serde(default)]
    pub targets: Vec<String>,
    /// tofu, terraform: files with settings of the backend that the configuration leaves out
    /// (`init -backend-config`), relative to `folder`.
    #[serde(default)]
    pub backend_files: Vec<String>,
    /// tofu, terraform: files of variables, relative to `folder`.
    #[serde(default)]
    pub var_files: Vec<String>,
    /// Values by name: variables of tofu and terraform, configuration of pulumi, values of helm.
    /// They come after those in files. They may be secrets, and are never arguments of a program.
    /// tofu and terraform read a list or a table only for a variable that is declared with a type.
    #[serde(default)]
    pub variables: BTreeMap<String, InfrastructureVariable>,
    /// More environment variables for the program. The PG* variables of this process are not
    /// passed on.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long each run of the program may take.
    #[serde(default = "an_hour")]
    pub timeout: Within,
    /// helm: the name of the release.
    #[serde(default)]
    pub release: Option<String>,
    /// helm: the chart: a folder (beginning with `./`, `../` or `/`), an archive, or a name that
    /// helm knows; relative to `folder`.
    #[serde(default)]
    pub chart: Option<String>,
    /// helm: the version of a chart that is not a folder.
    #[serde(default)]
    pub chart_version: Option<String>,
    /// helm: the namespace, which must exist.
    #[serde(default)]
    pub namespace: Option<String>,
    /// helm: the context of the kubeconfig.
    #[serde(default)]
    pub context: Option<String>,
    /// helm: files of values, relative to `folder`; later ones win.
    #[serde(default)]
    pub values: Vec<String>,
}

impl InfrastructureSpec {
    /// Checks that every key fits the tool and that none it needs is missing.
    ///
    /// # Errors
    /// [`Usage`](crate::ErrorKind::Usage), with the key's name.
    pub fn check(&self) -> Result<()> {
        self.refuse_what_does_not_fit()?;
        self.require_what_is_needed()?;
        self.check_names()
    }

    fn refuse_what_does_not_fit(&self) -> Result<()> {
        let tool = self.tool;
        let states = tool.is_terraform_like() || tool == InfrastructureTool::Pulumi;
        let helm = tool == InfrastructureTool::Helm;
        let keys = [
            ("workspace", self.workspace.is_some(), states),
            ("create_workspace", self.create_workspace, states),
            ("targets", !self.targets.is_empty(), states),
            (
                "var_files",
                !self.var_files.is_empty(),
                tool.is_terraform_like(),
            ),
            (
                "backend_files",
                !self.backend_files.is_empty(),
                tool.is_terraform_like(),
            ),
            ("release", self.release.is_some(), helm),
            ("chart", self.chart.is_some(), helm),
            ("chart_version", self.chart_version.is_some(), helm),
            ("namespace", self.namespace.is_some(), helm),
            ("context", self.context.is_some(), helm),
            ("values", !self.values.is_empty(), helm),
        ];
        for (key, given, fits) in keys {
            if given && !fits {
                return Err(Error::usage(format!("{key} does not fit the tool {tool}")));
            }
        }
        Ok(())
    }

    fn require_what_is_needed(&self) -> Result<()> {
        let helm = self.tool == InfrastructureTool::Helm;
        let pulumi = self.tool == InfrastructureTool::Pulumi;
        let needed = [
            ("workspace", &self.workspace, pulumi),
            ("release", &self.release, helm),
            ("chart", &self.chart, helm),
            ("namespace", &self.namespace, helm),
            ("context", &self.context, helm),
        ];
        for (key, value, needs) in needed {
            if needs && value.is_none() {
                return Err(Error::usage(format!(
                    "{key} is missing: {} needs it",
                    self.tool
                )));
            }
        }
        Ok(())
    }

    /// Names and paths become arguments: none may be empty or be taken for an option.
    fn check_names(&self) -> Result<()> {
        let one = [
            ("program", &self.program),
            ("workspace", &self.workspace),
            ("release", &self.release),
            ("chart", &self.chart),
            ("chart_version", &self.chart_version),
            ("namespace", &self.namespace),
            ("context", &self.context),
        ];
        let many = [
            ("targets", &self.targets),
            ("backend_files", &self.backend_files),
            ("var_files", &self.var_files),
            ("values", &self.values),
        ];
        let one = one
            .into_iter()
            .flat_map(|(k, v)| v.iter().map(move |v| (k, v)));
        let many = many
            .into_iter()
            .flat_map(|(k, v)| v.iter().map(move |v| (k, v)));
        for (key, value) in one.chain(many) {
            if value.is_empty() || value.starts_with('-') || value.contains(char::is_control) {
                return Err(Error::usage(format!("{key}: {value:?} cannot be a name")));
            }
        }
        for name in self.variables.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::usage(format!(
                    "variables: {name:?} cannot be the name of a variable"
                )));
            }
        }
        self.check_env()
    }

    fn check_env(&self) -> Result<()> {
        for name in self.env.keys() {
            let instead = if name == "TF_WORKSPACE" || name == "PULUMI_STACK" {
                "workspace"
            } else if name.starts_with("TF_VAR_") {
                "variables"
            } else if name == "HELM_NAMESPACE" {
                "namespace"
            } else if name == "HELM_KUBECONTEXT" {
                "context"
            } else if name.starts_with("TF_CLI_ARGS") {
                "targets and var_files"
            } else {
                continue;
            };
            return Err(
                Error::usage(format!("env.{name} changes what the plan says"))
                    .hint(format!("say it with {instead}")),
            );
        }
        Ok(())
    }
}

fn here() -> String {
    ".".to_owned()
}

fn an_hour() -> Within {
    Within::seconds(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<()> {
        let spec: InfrastructureSpec = toml::from_str(&format!("name='x'\n{text}")).expect(text);
        spec.check()
    }

    const HELM: &str =
        "tool='helm'\nrelease='r'\nchart='./c'\nnamespace='n'\ncontext='k'\nvalues=['v.yaml']\n";

    #[test]
    fn each_tool_has_its_keys() {
        for text in [
            "tool='terraform'",
            "tool='tofu'\nworkspace='w'\ncreate_workspace=true\ntargets=['a.b']\nvar_files=['v']",
            "tool='pulumi'\nworkspace='dev'\ntargets=['urn:x']\n[variables]\na=[1,2]",
            HELM,
        ] {
            checked(text).expect(text);
        }
        for (text, message) in [
            (
                "tool='terraform'\nrelease='r'",
                "release does not fit the tool terraform",
            ),
            (
                "tool='tofu'\nvalues=['v']",
                "values does not fit the tool tofu",
            ),
            (
                "tool='tofu'\ncontext='k'",
                "context does not fit the tool tofu",
            ),
            (
                "tool='pulumi'\nworkspace='w'\nvar_files=['v']",
                "var_files does not fit the tool pulumi",
            ),
            ("tool='pulumi'", "workspace is missing: pulumi needs it"),
            (
                &format!("{HELM}workspace='w'"),
                "workspace does not fit the tool helm",
            ),
            (
                &format!("{HELM}targets=['w']"),
                "targets does not fit the tool helm",
            ),
            (
                "tool='helm'\nrelease='r'\nchart='c'\ncontext='k'",
                "namespace is missing: helm needs it",
            ),
            (
                "tool='tofu'\nworkspace='-x'",
                "workspace: \"-x\" cannot be a name",
            ),
            (
                "tool='tofu'\nvar_files=['']",
                "var_files: \"\" cannot be a name",
            ),
            (
                "tool='tofu'\n[variables]\n'a=b'=1",
                "variables: \"a=b\" cannot be the name of a variable",
            ),
            (
                "tool='tofu'\n[env]\nTF_CLI_ARGS_apply='x'",
                "env.TF_CLI_ARGS_apply changes what the plan says",
            ),
            (
                "tool='tofu'\n[env]\nTF_VAR_a='x'",
                "env.TF_VAR_a changes what the plan says",
            ),
        ] {
            let error = checked(text).expect_err(text);
            assert_eq!(error.to_string(), message);
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
        }
    }

    #[test]
    fn unknown_keys_and_tools_are_refused_and_values_do_not_show() {
        for text in ["tool='terragrunt'", "tool='tofu'\nauto_approve=true"] {
            toml::from_str::<InfrastructureSpec>(&format!("name='x'\n{text}")).expect_err(text);
        }
        let text = "name='x'\ntool='tofu'\n[variables]\npassword='hunter2'";
        let spec: InfrastructureSpec = toml::from_str(text).expect(text);
        assert!(!format!("{spec:?}").contains("hunter2"), "{spec:?}");
        assert_eq!(spec.timeout, Within::seconds(3600));
        assert!(serde_json::to_value(schemars::schema_for!(InfrastructureSpec)).is_ok());
    }
}
