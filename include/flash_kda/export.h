/* Symbols that the shared library shows; everything else is hidden. C and C++. */
#ifndef FLASH_KDA_EXPORT_H_
#define FLASH_KDA_EXPORT_H_

#if defined(_WIN32)
#error "FlashKDA builds on Linux and other ELF systems"
#endif
#define FLASH_KDA_API __attribute__((visibility("default")))

#endif /* FLASH_KDA_EXPORT_H_ */
