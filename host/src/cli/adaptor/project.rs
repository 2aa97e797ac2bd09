//! `airlock adaptor new` and `build`

use std::path::PathBuf;

use airlock_sandbox::inspect;
use clap::Args;

use super::{kinds, named, refusal};
use crate::{
    cli::{Failure, print, say},
    project::{Kind, Language, Project, ProjectName, Quality, create},
};

#[derive(Args)]
pub(super) struct NewArgs {
    /// What it is called: small letters, digits and hyphens, as in my-adaptor
    name: String,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// What it does
    #[arg(long, value_enum, default_value_t = Kind::Endpoint)]
    kind: Kind,
    /// The new folder [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn new(args: &NewArgs) -> Result<(), Failure> {
    let name = ProjectName::parse(&args.name).map_err(Failure::new)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    create(args.lang, args.kind, &name, &dir).map_err(Failure::new)?;
    let shown = dir.display();
    print(format_args!("{shown}"))?;
    say(format_args!(
        "\nThe project is in {shown}. What to do next:\n\n  cd {shown}\n  airlock adaptor build     # the component\n  \
         airlock adaptor test      # its tests, then a trial in the sandbox\n  airlock adaptor dev       # into a running \
         gateway, again after every change\n"
    ));
    Ok(())
}

/// Builds it, and says in few lines what came of it; what no gateway takes is an error.
pub(super) fn build(args: &BuildArgs) -> Result<(), Failure> {
    let project = Project::open(&args.dir).map_err(Failure::new)?;
    let component = project.build(Quality::Release).map_err(Failure::new)?;
    let bytes = std::fs::read(&component).map_err(|e| named(&component, e))?;
    let found = inspect(&bytes).map_err(|e| named(&component, e))?;
    if let Some(why) = refusal(&found) {
        return Err(named(&component, why));
    }
    let imports: Vec<_> = found.imports.iter().map(|import| short(&import.name)).collect();
    print(format_args!("component  {}", component.display()))?;
    print(format_args!("kind       {}", kinds(found.kind).join(", ")))?;
    print(format_args!("size       {} bytes", found.size))?;
    print(format_args!("digest     sha256:{}", found.digest))?;
    print(format_args!("imports    {}", imports.join(", ")))
}

/// An import without its version, and without the package where that is ours.
fn short(import: &str) -> &str {
    let name = import.split('@').next().unwrap_or(import);
    name.strip_prefix("airlock:adaptor/").unwrap_or(name)
}
