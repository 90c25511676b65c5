// Constants of Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).
#ifndef NL_PHILOX_H
#define NL_PHILOX_H
#define NL_PHILOX_M0 0xD2511F53u
#define NL_PHILOX_M1 0xCD9E8D57u
#define NL_PHILOX_W0 0x9E3779B9u
#define NL_PHILOX_W1 0xBB67AE85u
#define NL_PHILOX_ROUNDS 10
#endif
