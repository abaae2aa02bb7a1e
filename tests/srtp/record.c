/* Writes what libsrtp 2 makes of some packets, for tests/srtp_against_libsrtp.rs:
 *
 *   cc -o record tests/srtp/record.c -lsrtp2 && ./record > tests/srtp/libsrtp.txt
 *
 * Needs Debian's libsrtp2-dev. Each line is `suite NAME KEY-AND-SALT`, or `rtp` or `rtcp` with a packet before
 * and after.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <srtp2/srtp.h>

static void hex(const uint8_t *octets, int length) {
    for (int i = 0; i < length; i++)
        printf("%02x", octets[i]);
}

static void line(const char *kind, const uint8_t *before, int length, const uint8_t *after, int protected) {
    printf("%s ", kind);
    hex(before, length);
    printf(" ");
    hex(after, protected);
    printf("\n");
}

/* A packet with `payload` octets; with `extras` also contributing sources and a header extension. */
static int rtp(uint8_t *packet, uint16_t sequence, uint32_t ssrc, int payload, int extras) {
    int at = 12;
    memset(packet, 0, 256);
    packet[0] = 0x80 | (extras ? 0x12 : 0);
    packet[1] = 0x80;
    packet[2] = sequence >> 8, packet[3] = sequence;
    packet[6] = sequence >> 4, packet[7] = sequence << 4;
    for (int i = 0; i < 4; i++)
        packet[8 + i] = ssrc >> (24 - 8 * i);
    if (extras) {
        memcpy(packet + at, "\x01\x02\x03\x04\x05\x06\x07\x08\xbe\xde\x00\x01\x10\x7f\x00\x00", 16);
        at += 16;
    }
    for (int i = 0; i < payload; i++)
        packet[at + i] = i * 7 + sequence;
    return at + payload;
}

static void record(srtp_t session, uint16_t sequence, uint32_t ssrc, int payload, int extras, int shown) {
    uint8_t before[512], after[512];
    int length = rtp(before, sequence, ssrc, payload, extras), protected = length;
    memcpy(after, before, sizeof after);
    if (srtp_protect(session, after, &protected))
        fprintf(stderr, "not protected: %u\n", sequence);
    else if (shown)
        line("rtp", before, length, after, protected);
}

static void suite(const char *name, void (*rtp_policy)(srtp_crypto_policy_t *),
                  void (*rtcp_policy)(srtp_crypto_policy_t *), int bytes) {
    uint8_t key[46];
    srtp_policy_t policy;
    srtp_t session;
    for (int i = 0; i < bytes; i++)
        key[i] = i * 37 + bytes;
    memset(&policy, 0, sizeof policy);
    rtp_policy(&policy.rtp);
    rtcp_policy(&policy.rtcp);
    policy.ssrc.type = ssrc_any_outbound;
    policy.key = key;
    srtp_create(&session, &policy);
    printf("suite %s ", name);
    hex(key, bytes);
    printf("\n");

    for (uint32_t i = 65532; i < 65540; i++)
        record(session, i, 0xcafebabe, i % 2 ? 160 : 4, i % 3 == 0, 1);
    for (uint32_t i = 65540; i < 3 * 65536 + 3; i++)
        record(session, i, 0xcafebabe, 33, 0, i % 16384 == 2);
    record(session, 7, 0x12345678, 0, 0, 1);

    for (int i = 0; i < 3; i++) {
        uint8_t before[64] = {0x81, 200, 0, 12, 0xca, 0xfe, 0xba, 0xbe}, after[128];
        int protected = 52;
        for (int n = 8; n < 52; n++)
            before[n] = n * 5 + i;
        memcpy(after, before, sizeof before);
        srtp_protect_rtcp(session, after, &protected);
        line("rtcp", before, 52, after, protected);
    }
    srtp_dealloc(session);
}

int main(void) {
    srtp_init();
    suite("AES_CM_128_HMAC_SHA1_80", srtp_crypto_policy_set_rtp_default,
          srtp_crypto_policy_set_rtp_default, 30);
    suite("AES_CM_128_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
          srtp_crypto_policy_set_rtp_default, 30);
    suite("AES_256_CM_HMAC_SHA1_80", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
          srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 46);
    suite("AES_256_CM_HMAC_SHA1_32", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
          srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, 46);
    return 0;
}
