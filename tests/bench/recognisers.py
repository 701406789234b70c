"""`python -m tests.bench.recognisers`: ns per segment or message of single recognisers.

Without decoding, tables or windows; the best of several runs, printed and asserted nowhere.
"""

import timeit

import dns.message
import dns.rrset

from sensor._native import doors_dns, doors_web

HTTP = 1
ROUNDS = 20_000
HEADERS = b"".join(b"X-Header-%d: some value of a usual length\r\n" % i for i in range(10))
REQUEST = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\n" + HEADERS + b"\r\n"
ENDLESS = b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n"


def http(octets: bytes, first: bytes = b"") -> float:
    """ns for one client segment of an HTTP/1 connection that began with `first`."""
    runs = timeit.repeat(
        lambda: doors_web.time_segment(octets, ROUNDS, HTTP, first), number=1, repeat=20
    )
    return min(runs) / ROUNDS * 1e9


def dns_pair() -> tuple[float, float]:
    """ns for a question and for its answer, each of another flow than the one before."""
    question = dns.message.make_query("www.example.org", "A")
    answer = dns.message.make_response(question)
    answer.answer.append(dns.rrset.from_text("www.example.org.", 300, "IN", "A", "192.0.2.1"))
    asked, told = question.to_wire(), answer.to_wire()
    return min(doors_dns.Door().time_dns(asked, told, ROUNDS) for _ in range(20))


def main() -> None:
    print(f"HTTP/1 request of {len(REQUEST)} octets {http(REQUEST):.0f} ns")
    print(f"HTTP/1 body segment of 1448 octets {http(b'x' * 1448, ENDLESS):.1f} ns")
    question, answer = dns_pair()
    print(f"DNS question {question:.0f} ns, answer {answer:.0f} ns")


if __name__ == "__main__":
    main()
