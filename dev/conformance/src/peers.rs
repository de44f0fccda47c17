//! Installs what is foreign, at pinned versions, into `peers/` of the target directory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use crate::process;

/// Who plays a client or a server.
#[derive(Copy, Clone, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Peer {
    /// As a client only: our program on @connectrpc/connect-node and connect-web
    ConnectEs,
    /// grpc-go's test programs
    Go,
    /// grpc-java's test programs, from Maven Central
    Java,
    /// As a server only: one that breaks rules on purpose
    Misbehaving,
    /// Our programs on @grpc/grpc-js
    Node,
    /// Ours
    Polywire,
    /// Our programs on grpcio
    Python,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConnectEs => "connect-es",
            Self::Go => "go",
            Self::Java => "java",
            Self::Misbehaving => "misbehaving",
            Self::Node => "node",
            Self::Polywire => "polywire",
            Self::Python => "python",
        }
    }
}

/// Where foreign programs are kept, and where their sources and manifests come from.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    /// `peers/` in the target directory.
    folder: PathBuf,
    /// The project.
    root: PathBuf,
    /// Where this program lies, and beside it our other ones.
    programs: PathBuf,
}

impl Workshop {
    pub(crate) fn open() -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let programs = program.parent().ok_or("this program lies nowhere")?.to_owned();
        let target = programs.parent().ok_or("the target directory is missing")?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|e| e.to_string())?;
        let workshop = Self { folder: target.join("peers"), root, programs };
        fs::create_dir_all(workshop.folder.join("logs")).map_err(|e| e.to_string())?;
        Ok(workshop)
    }

    /// Makes sure that a peer's programs are there. The error says why they are not.
    pub(crate) async fn install(&self, peer: Peer) -> Result<(), String> {
        match peer {
            Peer::ConnectEs => self.install_connect_es().await,
            Peer::Go => self.install_go().await,
            Peer::Java => self.install_java().await,
            Peer::Misbehaving | Peer::Python => self.install_python().await,
            Peer::Node => self.install_node().await,
            Peer::Polywire => Ok(()),
        }
    }

    /// A folder for what belongs to `name`.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file for what a running program says.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// One of the programs of this package.
    pub(crate) fn ours(&self, name: &str) -> Command {
        process::command(self.programs.join(name))
    }

    /// The Connect conformance suite.
    pub(crate) fn connect_suite(&self) -> Command {
        process::command(self.folder.join("connect/connectconformance"))
    }

    /// One of the Go programs.
    pub(crate) fn go(&self, name: &str) -> Command {
        process::command(self.folder.join("go").join(name))
    }

    /// A script of `peers/python` in an environment that has what it needs.
    pub(crate) fn python(&self, script: &str) -> Command {
        let folder = self.folder.join("python");
        let mut command = process::command(folder.join("environment/bin/python"));
        command.arg(self.source("python").join(script));
        command.env("INTEROP_PROTOS", folder.join("generated")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A script of `peers/node`, beside the packages that it needs.
    pub(crate) fn node(&self, script: &str) -> Command {
        let mut command = process::command("node");
        command.arg(self.folder.join("node").join(script)).env("INTEROP_PROTOS", self.root.join("proto"));
        command
    }

    /// Our client on connect-es, beside the packages that it needs.
    pub(crate) fn connect_es(&self) -> Command {
        let folder = self.folder.join("connect-es");
        let mut command = process::command("node");
        command.arg(folder.join("client.js")).arg(format!("--descriptors={}", folder.join(DESCRIPTORS).display()));
        command
    }

    /// A class of grpc-java's test programs; `first` is searched for files before anything else.
    pub(crate) fn java(&self, first: &Path, class: &str) -> Result<Command, String> {
        let mut command = self.virtual_machine(first)?;
        command.arg(format!("io.grpc.testing.integration.{class}"));
        Ok(command)
    }

    /// Our program that runs many cases of grpc-java's test client.
    pub(crate) fn java_cases(&self, first: &Path) -> Result<Command, String> {
        let mut command = self.virtual_machine(first)?;
        command.arg(self.source("java").join("Cases.java"));
        Ok(command)
    }

    fn virtual_machine(&self, first: &Path) -> Result<Command, String> {
        let path = fs::read_to_string(self.class_path_file()).map_err(|e| format!("class path: {e}"))?;
        let mut command = process::command("java");
        // Short runs on two cores: quick to start matters more than quick code.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp"]);
        command.arg(format!("{}:{}", first.display(), path.trim()));
        Ok(command)
    }

    /// Makes sure that the Connect conformance suite is there, built from what its authors have pinned.
    pub(crate) async fn install_connect_suite(&self) -> Result<(), String> {
        let stamp = Stamp { folder: self.folder.join("connect"), manifest: CONNECT_SUITE.to_owned() };
        if stamp.is_current() {
            return Ok(());
        }
        fs::create_dir_all(&stamp.folder).map_err(|e| format!("{}: {e}", stamp.folder.display()))?;
        let mut build = process::command("go");
        build.env("GOBIN", &stamp.folder).args(["install", CONNECT_SUITE]);
        succeed(build, INSTALL_LIMIT).await?;
        stamp.set()
    }

    /// Autobahn's program.
    pub(crate) fn autobahn(&self) -> Command {
        process::command(self.folder.join("autobahn/environment/bin/wstest"))
    }

    /// Makes sure that Autobahn|Testsuite is there, which wants a Python of a generation that is gone. `Ok(false)`: there is
    /// none here.
    pub(crate) async fn install_autobahn(&self) -> Result<bool, String> {
        let requirements = self.source("autobahn").join("requirements.txt");
        let stamp = Stamp::of(self.folder.join("autobahn"), std::slice::from_ref(&requirements))?;
        if stamp.is_current() {
            return Ok(true);
        }
        let Some(python) = python2().await else { return Ok(false) };
        let manifest = stamp.manifest.clone();
        let mut steps = manifest.lines().filter(|line| !line.starts_with('#'));
        let (boot, environment) = (stamp.folder.join("boot"), stamp.folder.join("environment"));
        let mut prepare = process::command(&python);
        prepare.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--upgrade", "--target"]);
        succeed(quiet(prepare.arg(&boot).args(steps.next())), INSTALL_LIMIT).await?;
        let mut create = process::command(&python);
        create.args(["-m", "virtualenv", "--quiet"]).arg(&environment).env("PYTHONPATH", &boot);
        succeed(create, INSTALL_LIMIT).await?;
        for step in steps {
            let mut install = process::command(environment.join("bin/pip"));
            install.args(["--quiet", "--disable-pip-version-check", "install", "--no-build-isolation"]);
            succeed(quiet(install.args(step.split_whitespace())), INSTALL_LIMIT).await?;
        }
        stamp.set()?;
        Ok(true)
    }

    async fn install_go(&self) -> Result<(), String> {
        let source = self.source("go");
        let stamp = Stamp::of(self.folder.join("go"), &[source.join("go.mod"), source.join("go.sum")])?;
        if stamp.is_current() {
            return Ok(());
        }
        let mut build = process::command("go");
        build.current_dir(&source).env("GOFLAGS", "-mod=readonly -buildvcs=false").env("GOBIN", &stamp.folder);
        build.arg("install").args(GO_PROGRAMS);
        succeed(build, INSTALL_LIMIT).await?;
        stamp.set()
    }

    async fn install_python(&self) -> Result<(), String> {
        let source = self.source("python");
        let protos = self.root.join("proto");
        let files = TEST_PROTOS.map(|name| protos.join(name));
        let mut manifest = vec![source.join("requirements.txt")];
        manifest.extend(files.iter().cloned());
        let stamp = Stamp::of(self.folder.join("python"), &manifest)?;
        if stamp.is_current() {
            return Ok(());
        }
        let environment = stamp.folder.join("environment");
        let generated = stamp.folder.join("generated");
        fs::create_dir_all(&generated).map_err(|e| e.to_string())?;
        let mut create = process::command("python3");
        create.args(["-m", "venv"]).arg(&environment);
        succeed(create, INSTALL_LIMIT).await?;
        let python = environment.join("bin/python");
        let mut install = process::command(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&manifest[0]);
        succeed(install, INSTALL_LIMIT).await?;
        let mut generate = process::command(&python);
        generate.args(["-m", "grpc_tools.protoc", "-I"]).arg(&protos);
        generate.arg(format!("--python_out={}", generated.display()));
        generate.arg(format!("--grpc_python_out={}", generated.display())).args(&files);
        succeed(generate, INSTALL_LIMIT).await?;
        stamp.set()
    }

    async fn install_node(&self) -> Result<(), String> {
        self.install_packages("node", &["client.js", "protos.js", "server.js"]).await
    }

    async fn install_connect_es(&self) -> Result<(), String> {
        self.install_packages("connect-es", &["client.js"]).await?;
        let descriptors = self.folder.join("connect-es").join(DESCRIPTORS);
        fs::write(&descriptors, conformance::TEST_DESCRIPTORS).map_err(|e| format!("{}: {e}", descriptors.display()))
    }

    async fn install_packages(&self, peer: &str, scripts: &[&str]) -> Result<(), String> {
        let source = self.source(peer);
        let manifest = ["package.json", "package-lock.json"];
        let stamp = Stamp::of(self.folder.join(peer), &manifest.map(|name| source.join(name)))?;
        // The scripts lie beside the packages, since that is where they look for them.
        for script in scripts.iter().chain(&manifest) {
            fs::copy(source.join(script), stamp.folder.join(script)).map_err(|e| format!("{script}: {e}"))?;
        }
        if stamp.is_current() {
            return Ok(());
        }
        let mut install = process::command("npm");
        install.current_dir(&stamp.folder).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        succeed(install, INSTALL_LIMIT).await?;
        stamp.set()
    }

    async fn install_java(&self) -> Result<(), String> {
        let pom = self.source("java").join("pom.xml");
        let stamp = Stamp::of(self.folder.join("java"), std::slice::from_ref(&pom))?;
        // The class path names files outside of our folder, which may have gone.
        let there = |path: String| path.trim().split(':').all(|file| Path::new(file).exists());
        if stamp.is_current() && fs::read_to_string(self.class_path_file()).is_ok_and(there) {
            return Ok(());
        }
        let mut problem = String::new();
        // Maven Central sometimes does not answer. What a try has fetched, the next one need not fetch.
        for _ in 0..3 {
            let mut resolve = process::command("mvn");
            resolve.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
            resolve.arg("org.apache.maven.plugins:maven-dependency-plugin:2.8:build-classpath");
            resolve
                .arg("-Dmdep.includeScope=runtime")
                .arg(format!("-Dmdep.outputFile={}", self.class_path_file().display()));
            match succeed(resolve, MAVEN_LIMIT).await {
                Ok(()) => return stamp.set(),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn class_path_file(&self) -> PathBuf {
        self.folder.join("java/class_path")
    }

    fn source(&self, peer: &str) -> PathBuf {
        self.root.join("dev/conformance/peers").join(peer)
    }
}

/// Remembers from which manifest a folder was filled.
struct Stamp {
    folder: PathBuf,
    manifest: String,
}

impl Stamp {
    fn of(folder: PathBuf, manifest: &[PathBuf]) -> Result<Self, String> {
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let read = |path: &PathBuf| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
        let manifest = manifest.iter().map(read).collect::<Result<String, _>>()?;
        Ok(Self { folder, manifest })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|text| text == self.manifest)
    }

    fn set(&self) -> Result<(), String> {
        fs::write(self.file(), &self.manifest).map_err(|e| e.to_string())
    }

    fn file(&self) -> PathBuf {
        self.folder.join("installed_from")
    }
}

/// A Python 2.7, from the path or from pyenv.
async fn python2() -> Option<PathBuf> {
    let mut candidates = vec![PathBuf::from("python2.7")];
    let versions = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")))
        .and_then(|root| fs::read_dir(root.join("versions")).ok());
    for version in versions.into_iter().flatten().flatten() {
        if version.file_name().to_string_lossy().starts_with("2.7.") {
            candidates.push(version.path().join("bin/python"));
        }
    }
    for candidate in candidates {
        let mut ask = process::command(&candidate);
        ask.args(["-m", "pip", "--version"]);
        if process::run(ask, INSTALL_LIMIT).await.is_ok_and(|ended| ended.succeeded()) {
            return Some(candidate);
        }
    }
    None
}

/// Without the words about Python 2 being old.
fn quiet(command: &mut Command) -> Command {
    command.env("PYTHONWARNINGS", "ignore");
    std::mem::replace(command, process::command(""))
}

async fn succeed(command: Command, limit: Duration) -> Result<(), String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let ended = process::run(command, limit).await?;
    if ended.succeeded() { Ok(()) } else { Err(format!("{name}: {}", ended.complaint())) }
}

/// The test services as connect-es reads them.
const DESCRIPTORS: &str = "descriptors.binpb";
const CONNECT_SUITE: &str = "connectrpc.com/conformance/cmd/connectconformance@v1.0.5";
const GO_PROGRAMS: [&str; 5] = [
    "github.com/summerwind/h2spec/cmd/h2spec",
    "github.com/summerwind/h2spec/cmd/h2specd",
    "google.golang.org/grpc/interop/client",
    "google.golang.org/grpc/interop/http2",
    "google.golang.org/grpc/interop/server",
];
const TEST_PROTOS: [&str; 4] = [
    "grpc/testing/messages.proto",
    "grpc/testing/test.proto",
    "xds/data/orca/v3/orca_load_report.proto",
    "xds/service/orca/v3/orca.proto",
];
/// A cold Go build takes half a minute on two cores, an installation of Python packages a quarter.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
/// One try at Maven: 15 s when all is well.
const MAVEN_LIMIT: Duration = Duration::from_secs(90);
