"""What cores do under a load that nobody can arrange by hand; virtual time, one seed, one answer.

`python -m simulations` runs every scenario with its number of peers, most with a thousand, `crash` with ten thousand:
720 s of processor time, so about three minutes with four processes, six with two; half a gigabyte each, 1 GB for `crash`.
`--large` runs those that say `large` with ten thousand. Processor time and memory there, measured: `rare-items` and
`lying-supernodes`, which begin with one network, 740 s and 4.8 GB. `churn` and `flash-crowd` with 2,000 peers take 200 s
each, and time grows with the number of peers.

What a peer takes: 85 kB without items; with 20 items 450 kB where there are 100 supernodes, because nearly every one of
them has something of everybody. 100,000 peers without items therefore need 9 GB; with items over 100 GB by this count,
which was not tried.
"""
