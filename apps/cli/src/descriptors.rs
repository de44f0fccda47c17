//! Where descriptors come from: files, and the server.

use std::{path::PathBuf, time::Instant};

use polywire::Metadata;
use polywire_proto::{FileDescriptorSet, MethodType, Pool};

use crate::{
    arguments::SourceArguments,
    connect::Server,
    failure::Failure,
    near::{ending_in, near},
    reflection::Reflection,
};

/// What is known of services, and who can be asked for more.
pub(crate) struct Descriptors {
    pool: Pool,
    reflection: Option<Reflection>,
    /// Whether files were given.
    from_files: bool,
    /// Whether the server is asked over a connection of gRPC beside that of the call.
    asks_apart: bool,
}

impl Descriptors {
    /// Reads the files that are given.
    pub(crate) fn read(arguments: &SourceArguments) -> Result<Self, Failure> {
        let mut set = FileDescriptorSet::default();
        for path in &arguments.descriptor_set {
            let shown = path.display();
            let bytes = std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
            let read = polywire_proto::decode_descriptor_set(&bytes).map_err(|error| {
                Failure::new(format!("{shown}: {error}"))
                    .hint("make one with `protoc --include_imports -o FILE` or `buf build -o FILE`")
            })?;
            polywire_proto::merge_descriptors(&mut set, read);
        }
        if !arguments.proto.is_empty() {
            let compiled = polywire_proto::compile(&include_paths(arguments), &arguments.proto).map_err(|error| {
                let missing = error.to_string().contains("not found");
                let failure = Failure::from(error);
                if missing && arguments.import_path.is_empty() {
                    failure.hint("-I DIRECTORY says where imports are looked up")
                } else {
                    failure
                }
            })?;
            polywire_proto::merge_descriptors(&mut set, compiled.descriptors);
        }
        Ok(Self { pool: link(set)?, reflection: None, from_files: arguments.has_files(), asks_apart: false })
    }

    /// Lets the server be asked for what the files do not have, unless the arguments forbid it.
    pub(crate) fn ask(&mut self, server: &Server, arguments: &SourceArguments, metadata: Metadata) {
        if !arguments.no_reflection && (arguments.use_reflection || !self.from_files) {
            self.reflection = Some(Reflection::new(server.reflection.clone(), metadata, server.deadline));
            self.asks_apart = server.channel.protocol() != server.reflection.protocol();
        }
    }

    /// Lets the server off until there is another question.
    pub(crate) fn rest(&mut self) {
        if let Some(reflection) = &mut self.reflection {
            reflection.rest();
        }
    }

    /// What is known by now.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where descriptors come from, in words.
    pub(crate) fn origin(&self) -> String {
        let Some(reflection) = &self.reflection else { return "files".to_owned() };
        let files = if self.from_files { "files and " } else { "" };
        let apart = if self.asks_apart { ", by gRPC because REST cannot carry the questions" } else { "" };
        format!("{files}reflection {}{apart}", reflection.version())
    }

    /// The full names of all services.
    pub(crate) async fn services(&mut self) -> Result<Vec<String>, Failure> {
        let mut services: Vec<String> = self.pool.services().map(str::to_owned).collect();
        match &mut self.reflection {
            Some(reflection) => {
                services.extend(reflection.services().await?);
                services.sort_unstable();
                services.dedup();
            }
            None if !self.from_files => {
                return Err(Failure::usage("there are no descriptors: --no-reflection was given, and no files")
                    .hint("pass --proto FILE or --descriptor-set FILE"));
            }
            None => {}
        }
        Ok(services)
    }

    /// Makes sure that the pool has what this full name declares, and says whether anybody knows it.
    pub(crate) async fn know(&mut self, symbol: &str) -> Result<bool, Failure> {
        if self.pool.files().containing(symbol).is_some() {
            return Ok(true);
        }
        let Some(reflection) = &mut self.reflection else { return Ok(false) };
        let Some(found) = reflection.files_of(symbol, self.pool.files()).await? else { return Ok(false) };
        let mut set = self.pool.files().to_set();
        polywire_proto::merge_descriptors(&mut set, found);
        self.pool = link(set)?;
        Ok(self.pool.files().containing(symbol).is_some())
    }

    /// Makes sure that the pool has all services.
    pub(crate) async fn know_all(&mut self) -> Result<Vec<String>, Failure> {
        let services = self.services().await?;
        for service in &services {
            self.know(service).await?;
        }
        Ok(services)
    }

    /// The method that the user means.
    pub(crate) async fn method(&mut self, name: &str) -> Result<MethodType, Failure> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if let Some((service, _)) = split_method(name)
            && self.know(service).await?
            && let Some(method) = self.pool.method(name)
        {
            return Ok(method);
        }
        // It is wrong or short: only now everything is looked at.
        self.know_all().await?;
        let methods = self.methods();
        let slashed = match split_method(name) {
            Some((service, method)) => format!("{service}/{method}"),
            None => name.to_owned(),
        };
        let names = || methods.iter().map(String::as_str);
        match ending_in(&slashed, names())[..] {
            [only] => return self.pool.method(only).ok_or_else(|| Failure::new(format!("{only} has disappeared"))),
            [] => {}
            ref several => {
                let failure = Failure::new(format!("{name:?} may be any of {} methods", several.len()));
                return Err(failure.hint(format!("name its package too: {}", several.join(", "))));
            }
        }
        let failure = Failure::new(match split_method(name) {
            Some((service, method)) if self.pool.methods(service).is_some() => {
                format!("service {service} has no method {method:?}")
            }
            Some((service, _)) => format!("no service {service:?} is known here"),
            None => format!("{name:?} is not a method: write package.Service/Method"),
        });
        let likely = match near(&slashed, names()) {
            likely if !likely.is_empty() => likely,
            _ if methods.len() <= LISTED_MAX => names().collect(),
            _ => Vec::new(),
        };
        Err(match likely.is_empty() {
            true => failure.hint("`polywire list` shows all services"),
            false => likely.into_iter().fold(failure, |failure, name| failure.hint(format!("did you mean {name}?"))),
        })
    }

    /// The full name that the user means: itself, or the only one that ends so.
    pub(crate) async fn symbol(&mut self, name: &str) -> Result<String, Failure> {
        let dotted = name.trim_start_matches(['.', '/']).replace('/', ".");
        if self.know(&dotted).await? {
            return Ok(dotted);
        }
        self.know_all().await?;
        let names = self.pool.files().declared();
        let names = || names.iter().copied();
        match ending_in(&dotted, names())[..] {
            [only] => Ok(only.to_owned()),
            [] => {
                let failure = Failure::new(format!("nothing is called {dotted:?} here"));
                Err(match near(&dotted, names())[..] {
                    [] => failure.hint("`polywire list` shows all services, `polywire describe` all of them in full"),
                    ref likely => {
                        likely.iter().fold(failure, |failure, name| failure.hint(format!("did you mean {name}?")))
                    }
                })
            }
            ref several => Err(Failure::new(format!("{name:?} may be any of {} things", several.len()))
                .hint(format!("name its package too: {}", several.join(", ")))),
        }
    }

    /// `package.Service/Method` of all methods in the pool.
    fn methods(&self) -> Vec<String> {
        let services = self.pool.services();
        let methods = services.filter_map(|service| self.pool.methods(service)).flatten();
        methods.map(|method| method.path().trim_start_matches('/').to_owned()).collect()
    }
}

/// When nothing is like what was asked for, so many methods are named all the same.
const LISTED_MAX: usize = 8;

/// Divides the address and the name that `list` and `describe` take, where one may be left out.
pub(crate) fn address_and_name(
    first: Option<String>,
    second: Option<String>,
    arguments: &SourceArguments,
) -> Result<(Option<String>, Option<String>), Failure> {
    match (first, second) {
        (None, _) if !arguments.has_files() => {
            Err(Failure::usage("where from? give ADDRESS, --proto FILE or --descriptor-set FILE"))
        }
        // With files a single word names what is in them; addresses have colons and names have none.
        (Some(name), None) if arguments.has_files() && !name.contains(':') => Ok((None, Some(name))),
        divided => Ok(divided),
    }
}

/// When everything must be done.
pub(crate) fn deadline(timeout: Option<std::time::Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

fn link(set: FileDescriptorSet) -> Result<Pool, Failure> {
    Pool::new(set).map_err(|error| {
        Failure::new(format!("the descriptors do not fit together: {error}"))
            .hint("a descriptor set must have all imports (protoc --include_imports)")
    })
}

/// Where `.proto` files are looked up: as the user says, else here, and beside files that are elsewhere.
fn include_paths(arguments: &SourceArguments) -> Vec<PathBuf> {
    if !arguments.import_path.is_empty() {
        return arguments.import_path.clone();
    }
    let elsewhere = arguments.proto.iter().filter(|file| file.is_absolute() || file.starts_with(".."));
    let parents = elsewhere.filter_map(|file| file.parent()).map(PathBuf::from);
    std::iter::once(PathBuf::from(".")).chain(parents).collect()
}

/// Service and method of `package.Service/Method` or `package.Service.Method`.
fn split_method(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('/')
        .or_else(|| name.rsplit_once('.'))
        .filter(|(service, method)| !service.is_empty() && !method.is_empty())
}
