//! Starts of attempts: environment, input, exit codes, and reasons for a failed start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use errand_agent::target::{Input, Streams, TargetStartError};

use crate::support::Place;

#[tokio::test]
async fn an_attempt_that_exits_well_reports_zero_and_what_it_used() {
    let place = Place::new();
    let running = place.shell("echo hello; echo oops >&2");
    let exit = running.wait().await.unwrap();
    assert_eq!((exit.code, exit.signal, exit.stragglers), (Some(0), None, 0));
    assert_eq!(exit.stdout.in_memory(), b"hello\n");
    assert!(exit.usage.wall.as_nanos() > 0 && exit.usage.max_rss_bytes > 0, "{:?}", exit.usage);
    let mut log = place.log();
    log.sort();
    assert_eq!(log, ["stderr F oops", "stdout F hello"]);
    assert_eq!(running.wait().await.unwrap().code, exit.code);
}

#[tokio::test]
async fn exit_codes_and_signals_are_distinguished() {
    let place = Place::new();
    let exit = place.shell("exit 7").wait().await.unwrap();
    assert_eq!((exit.code, exit.signal), (Some(7), None));
    let exit = place.shell("kill -SEGV $$").wait().await.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(11)));
}

#[tokio::test]
async fn an_attempt_inherits_nothing_but_what_it_is_given() {
    let place = Place::new();
    let script = "
        tr '\\0' '\\n' < /proc/$$/environ | cut -d= -f1
        ls /proc/self/fd
        cut -d' ' -f1,5,6 /proc/$$/stat
        echo $$
        pwd
        grep -E 'SigBlk|SigIgn' /proc/self/status";
    // A descriptor that a careless library opened without close-on-exec.
    let file = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let mut spec = place.spec(&["/bin/sh", "-c", script]);
    spec.env.push(("LC_ALL".into(), "C.UTF-8".into()));
    let running = place.start(&spec).unwrap();
    // Descriptor 3 is the folder that `ls` lists.
    let pid = running.identity().pid;
    let exit = running.wait().await.unwrap();
    let cwd = fs::canonicalize(place.dir.path()).unwrap();
    let none = "0000000000000000";
    let expect = format!(
        "ERRAND_RUN_ID\nPATH\nLC_ALL\n0\n1\n2\n3\n{pid} {pid} {pid}\n{pid}\n{}\n\
         SigBlk:\t{none}\nSigIgn:\t{none}\n",
        cwd.display()
    );
    assert_eq!(str::from_utf8(exit.stdout.in_memory()).unwrap(), expect);
}

#[tokio::test]
async fn a_program_is_searched_in_the_path_of_the_attempt() {
    let place = Place::new();
    fs::create_dir(place.path("bin")).unwrap();
    place.script("bin/mine", "#!/bin/sh\necho mine $1\n");
    let mut spec = place.spec(&["mine", "x"]);
    spec.env.retain(|(name, _)| name != "PATH");
    spec.env.push(("PATH".into(), format!("/nowhere::{}", place.path("bin").display()).into()));
    let exit = place.start(&spec).unwrap().wait().await.unwrap();
    assert_eq!(exit.stdout.in_memory(), b"mine x\n");
    let relative = place.spec(&["bin/mine", "y"]);
    let exit = place.start(&relative).unwrap().wait().await.unwrap();
    assert_eq!(exit.stdout.in_memory(), b"mine y\n");
}

#[tokio::test]
async fn each_reason_for_a_failed_start_has_its_error() {
    let place = Place::new();
    let not_found = place.start(&place.spec(&["no-such-program"])).unwrap_err();
    assert!(matches!(not_found, TargetStartError::NotFound { .. }), "{not_found:?}");
    let not_found = place.start(&place.spec(&["./no-such-program"])).unwrap_err();
    assert!(matches!(not_found, TargetStartError::NotFound { .. }), "{not_found:?}");

    let text = place.script("text", "#!/bin/sh\n");
    fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
    place.script("no-interpreter", "#!/no/such/interpreter\n");
    place.script("no-program", "echo hello\n");
    for program in ["./text", "./no-interpreter", "./no-program", "/tmp"] {
        let error = place.start(&place.spec(&[program])).unwrap_err();
        assert!(matches!(error, TargetStartError::NotExecutable { .. }), "{program}: {error:?}");
    }

    let mut spec = place.spec(&["/bin/true"]);
    spec.cwd = place.path("missing");
    let error = place.start(&spec).unwrap_err();
    assert!(matches!(error, TargetStartError::WorkingDirectory { .. }), "{error:?}");

    let mut spec = place.spec(&["/bin/true"]);
    spec.streams = Streams::Payload(Input::File(place.path("missing")));
    let error = place.start(&spec).unwrap_err();
    assert!(matches!(error, TargetStartError::Input { .. }), "{error:?}");

    for argv in [&[][..], &[""], &["/bin/true", "a\0b"]] {
        let error = place.start(&place.spec(argv)).unwrap_err();
        assert!(
            matches!(error, TargetStartError::Other(_) | TargetStartError::NotFound { .. }),
            "{error:?}"
        );
    }
    assert_eq!(place.living(), []);
}

#[tokio::test]
async fn input_of_any_size_reaches_the_attempt() {
    let place = Place::new();
    let large: Vec<u8> = (0..10 * 1_024 * 1_024_u32).map(|n| n.to_le_bytes()[1]).collect();
    fs::write(place.path("payload"), &large).unwrap();
    let small = b"a\0b\nc\xff".to_vec();
    let inputs = [
        (Input::Empty, Vec::new()),
        (Input::Bytes(Vec::new()), Vec::new()),
        (Input::Bytes(small.clone()), small),
        (Input::Bytes(large.clone()), large.clone()),
        (Input::File(place.path("payload")), large),
    ];
    for (stdin, expect) in inputs {
        let mut spec = place.spec(&["/bin/sh", "-c", "cat > got"]);
        spec.streams = Streams::Payload(stdin);
        let exit = place.start(&spec).unwrap().wait().await.unwrap();
        assert_eq!(exit.code, Some(0));
        assert!(fs::read(place.path("got")).unwrap() == expect);
    }
}

#[tokio::test]
async fn unread_input_of_ten_mebibytes_does_not_block_the_attempt() {
    let place = Place::new();
    let mut spec = place.spec(&["/bin/sh", "-c", "exec 0<&-; echo done"]);
    spec.streams = Streams::Payload(Input::Bytes(vec![b'x'; 10 * 1_024 * 1_024]));
    let exit = place.start(&spec).unwrap().wait().await.unwrap();
    assert_eq!((exit.code, exit.stdout.in_memory()), (Some(0), b"done\n".as_slice()));
}

#[tokio::test]
async fn many_attempts_at_once_in_one_process_do_not_disturb_each_other() {
    let places: Vec<Place> = (0..40).map(|_| Place::new()).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, place) in places.into_iter().enumerate() {
        tasks.spawn(async move {
            let script = format!("(setsid sleep 100 &) ; echo {number}; exit {number}");
            let running = place.shell(&script);
            let exit = running.wait().await.unwrap();
            assert_eq!(exit.code, Some(i32::try_from(number).unwrap()));
            assert_eq!(exit.stdout.in_memory(), format!("{number}\n").into_bytes());
            assert_eq!(exit.stragglers, 1, "of {number}");
            assert_eq!(place.living(), []);
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
