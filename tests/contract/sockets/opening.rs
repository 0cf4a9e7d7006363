//! The request that opens a socket: from which pages, with which headers, with which parameters.

use anyhow::{Context, ensure};
use flightdeck_tests::server::COMPANION_TOKEN;
use flightdeck_tests::{Request, TestOptions, TestServer, for_each_database};

use super::{development, each, each_in_words, is_served, register, request};

fn production(options: TestOptions) -> TestOptions {
    // A name of its own, because in production requests come through a proxy.
    options.production().set("PUBLIC_BASE_URL", "https://deck.example")
}

for_each_database! {
    /// A web page from elsewhere must not open a socket to a server on the visitor's machine: browsers let every page try,
    /// and send cookies and passwords along.
    async fn other_pages_are_kept_out(database) {
        let options = development(database).set("CORS_ORIGINS", "https://screens.example");
        for options in [options.clone(), production(options)] {
            each(options, async |server, socket| {
                let request = request(server, socket).await?;
                for origin in [
                    "https://elsewhere.example",
                    "null",
                    "",
                    "http://screens.example",
                    "https://screens.example.evil.example",
                    "https://screens.example:8443",
                    "http://127.0.0.1:1",
                ] {
                    let opened = server.try_open(&request.clone().header("Origin", origin)).await?;
                    opened.refused("origin_not_allowed").context(origin)?;
                }
                for origin in ["https://screens.example".to_owned(), format!("http://{}", server.address())] {
                    let mut opened = server.open(&request.clone().header("Origin", &origin)).await.context(origin)?;
                    is_served(&mut opened, socket).await?;
                }
                Ok(())
            })
            .await?;
        }
    }

    /// A page that had its own name resolve to this machine would pass as one of its own.
    async fn other_hosts_are_kept_out_in_development(database) {
        each(development(database), async |server, socket| {
            let request = request(server, socket).await?;
            for host in ["elsewhere.example", "elsewhere.example:8787", "127.0.0.1.elsewhere.example"] {
                let opened = server.try_open(&request.clone().header("Host", host)).await?;
                opened.refused("origin_not_allowed").context(host)?;
            }
            Ok(())
        })
        .await?;
    }

    /// Who can't open a socket is told what is missing, and by what.
    async fn what_does_not_begin_a_socket_is_told_so(database) {
        each(development(database), async |server, socket| {
            let request = request(server, socket).await?;
            let plain = ["Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"];
            let plain = plain.iter().fold(request.clone(), |request, name| request.without(name));
            let answer = server.send(&plain).await?;
            ensure!(answer.headers.get("upgrade").is_some_and(|upgrade| upgrade == "websocket"), "{:?}", answer.headers);
            answer.refused("upgrade_required").context("a plain GET")?;
            for (name, value) in [
                ("Connection", "close"),
                ("Upgrade", "h2c"),
                ("Sec-WebSocket-Version", "8"),
                ("Sec-WebSocket-Version", "thirteen"),
                ("Sec-WebSocket-Key", "short"),
                ("Sec-WebSocket-Key", ""),
            ] {
                let opened = server.try_open(&request.clone().header(name, value)).await?;
                opened.refused("upgrade_required").with_context(|| format!("{name}: {value}"))?;
            }
            for name in ["Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"] {
                let opened = server.try_open(&request.clone().without(name)).await?;
                opened.refused("upgrade_required").with_context(|| format!("without {name}"))?;
            }
            Ok(())
        })
        .await?;
    }

    async fn what_is_written_differently_begins_a_socket_too(database) {
        each(development(database), async |server, socket| {
            let request = request(server, socket).await?;
            for (name, value) in [
                ("Connection", "keep-alive, Upgrade"),
                ("Connection", "upgrade"),
                ("Upgrade", "WebSocket"),
                // What the client could do besides, and the server does not.
                ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
            ] {
                let mut opened = server.open(&request.clone().header(name, value)).await.context(value)?;
                is_served(&mut opened, socket).await?;
            }
            Ok(())
        })
        .await?;
    }

    async fn only_get_opens_a_socket(database) {
        each(development(database), async |server, socket| {
            let request = request(server, socket).await?;
            for method in ["POST", "PUT", "DELETE", "BREW"] {
                let mut other = request.clone();
                other.method = method.to_owned();
                server.send(&other).await?.refused("method_not_allowed").context(method)?;
            }
            Ok(())
        })
        .await?;
    }

    /// What a client sends before it has the answer belongs to the socket.
    async fn a_client_need_not_wait_for_the_answer(database) {
        each_in_words(development(database), async |server, socket| {
            let mut opened = server.open(&request(server, socket).await?).await?;
            let (question, answer) = super::question(socket);
            // As fast as it goes: the first of these are there before the server has begun to listen.
            for _ in 0..10 {
                opened.send(&question).await?;
            }
            for _ in 0..10 {
                opened.until(answer).await?;
            }
            Ok(())
        })
        .await?;
    }

    async fn parameters_that_are_wrong_are_refused(database) {
        let server = TestServer::with(development(database)).await?;
        let agent_id = register(&server).await?;
        let long = "x".repeat(501);
        for target in [
            "/realtime".to_owned(),
            "/realtime?role=pc".to_owned(),
            format!("/realtime?agent_id={agent_id}"),
            format!("/realtime?agent_id={agent_id}&role="),
            format!("/realtime?agent_id={agent_id}&role=PC"),
            format!("/realtime?agent_id={agent_id}&role=android"),
            "/realtime?agent_id=&role=pc".to_owned(),
            "/realtime?agent_id=1&role=pc".to_owned(),
            "/realtime?agent_id=%00&role=pc".to_owned(),
            format!("/realtime?agent_id={agent_id}&role=pc&token={long}"),
            format!("/hub?agent_id={long}"),
            format!("/hub?session_id={long}"),
            format!("/ws?token={long}"),
            "/ws/events".to_owned(),
            "/ws/events?sessionId=".to_owned(),
            "/ws/events?sessionId=1".to_owned(),
            "/ws/events?sessionId=%00".to_owned(),
            "/ws/pty".to_owned(),
            "/ws/pty?sessionId=1".to_owned(),
            format!("/ws/pty?sessionId={agent_id}&cols=0"),
            format!("/ws/pty?sessionId={agent_id}&cols=1001"),
            format!("/ws/pty?sessionId={agent_id}&rows=0"),
            format!("/ws/pty?sessionId={agent_id}&rows=501"),
            format!("/ws/pty?sessionId={agent_id}&rows=-1"),
            format!("/ws/pty?sessionId={agent_id}&cols=wide"),
            format!("/ws/pty?sessionId={agent_id}&frames=base64"),
        ] {
            let request = Request::socket(&target).bearer(COMPANION_TOKEN);
            server.try_open(&request).await?.refused("invalid_request").context(target)?;
        }
    }
}
