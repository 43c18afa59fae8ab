# Sums folded stacks by what spent the time: in the kernel by system call, outside of it by the innermost frame of
# throng, the C library, tokio or another crate. The standard library has no share of its own: it works for its caller.
# Prints "samples ours libc tokio crates send receive read epoll kernel", all but the first in per cent.

BEGIN {
    crates = "hyper|hyper_util|fastwebsockets|httparse|http|crossbeam_channel|dashmap|parking_lot|parking_lot_core"
    crates = "^<?(" crates "|socket2|mio|bytes|tracing|base64|sha1)::"
    libc = "^(_?mi_|__?(mem|str)|malloc|calloc|realloc|free|__libc|__GI_|_int_|__send|__recv|__vdso|clock_gettime)"
}

function owner(stack,    frames, at, frame) {
    at = split(stack, frames, ";")
    if (frames[at] ~ libc) return "libc"
    for (; at > 0; at--) {
        frame = frames[at]
        if (frame ~ /^<?throng::/ || frame ~ /_\[i\]$/) return "ours"
        if (frame ~ /^<?tokio::/) return "tokio"
        if (frame ~ crates) return "crates"
    }
    return "libc"
}

function asked(stack) {
    # On loopback the sender's own system call runs the receiver's half of TCP, in a soft interrupt.
    if (stack ~ /;(do_softirq|__do_softirq|handle_softirqs|net_rx_action|__irq_exit_rcu)/) return "receive"
    if (stack ~ /sys_send|tcp_sendmsg/) return "send"
    if (stack ~ /sys_recv|sys_read|tcp_recvmsg/) return "read"
    if (stack ~ /sys_epoll|do_epoll/) return "epoll"
    return "kernel"
}

{
    count = $NF
    stack = $0
    sub(/ [0-9]+$/, "", stack)
    share[stack ~ /_\[k\]$/ ? asked(stack) : owner(stack)] += count
    total += count
}

END {
    if (!total) exit 1
    printf "%d", total
    names = split("ours libc tokio crates send receive read epoll kernel", name, " ")
    for (at = 1; at <= names; at++) printf " %.1f", 100 * share[name[at]] / total
    printf "\n"
}
